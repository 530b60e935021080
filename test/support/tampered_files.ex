defmodule Blanket.TamperedFiles do
  @moduledoc """
  Files of `tab2file` in which bytes or terms are no longer what they were.

  `file2tab` answers for them, and raises nothing; where it answers an error, no table is left. When the file
  is to be verified, the table that it makes is the one that `:ets` makes, or has the objects that were written.
  """

  alias Blanket.{Mutation, Native, Table}

  @doc """
  Tampers with a file `count` times, as the seed says, in the directory. Answers how many of the files were
  still read.
  """
  @spec check(pos_integer, integer, Path.t()) :: non_neg_integer
  def check(count, seed, dir) do
    :rand.seed(:exsss, seed)
    path = Path.join(dir, "tampered")
    terms = terms(path)
    bytes = File.read!(path)

    Enum.count(1..count, fn _ ->
      tampered =
        case :rand.uniform(2) do
          1 -> bytes |> flip()
          2 -> terms |> Mutation.mutate(fn -> Mutation.part(terms) end) |> logged(path)
        end

      verify = Enum.random([true, false])
      here = outcome(Table, path, tampered, verify)
      there = outcome(:ets, path, tampered, verify)

      if match?({:raised, _}, here) or (verify and not right?(here, there, terms)) do
        raise "file2tab with verify: #{verify} of a tampered file: #{inspect(here)}, and of :ets " <>
                "#{inspect(there)}, of\n#{inspect(tampered, limit: :infinity)}\nmade of #{inspect(terms)}"
      end

      match?({:ok, _, _}, here)
    end)
  end

  defp right?(same, same, _terms), do: true
  defp right?({:ok, _facts, objects}, _refused, terms), do: objects == objects(terms)
  defp right?(:error, _there, _terms), do: true

  defp objects(terms), do: terms |> Enum.filter(&match?({_, _, _}, &1)) |> Enum.sort()

  # Those of a file that has been written to the path.
  defp terms(path) do
    type = Enum.random([:set, :ordered_set, :bag, :duplicate_bag])
    table = Table.new(:blanket_tampered, [type, :public])
    for i <- 1..:rand.uniform(20), do: Table.insert(table, {i, "value #{i}", [i, {:nested, i}]})
    info = Enum.random([[], [:md5sum], [:object_count], [:md5sum, :object_count]])
    :ok = Table.tab2file(table, String.to_charlist(path), extended_info: info)
    Table.delete(table)

    {:ok, log} = open(path)
    {_, terms} = :disk_log.chunk(log, :start)
    :disk_log.close(log)
    terms
  end

  defp open(path),
    do: :disk_log.open(name: make_ref(), file: String.to_charlist(path), mode: :read_only)

  defp logged(terms, path) do
    File.rm!(path)
    {:ok, log} = :disk_log.open(name: make_ref(), file: String.to_charlist(path))
    terms = if is_list(terms) and List.improper?(terms) == false, do: terms, else: [terms]
    for term <- terms, do: :disk_log.log(log, term)
    :disk_log.close(log)
    File.read!(path)
  end

  defp flip(bytes) do
    {before, <<byte, rest::binary>>} =
      :erlang.split_binary(bytes, :rand.uniform(byte_size(bytes)) - 1)

    case :rand.uniform(6) do
      1 -> before
      2 -> before <> rest
      3 -> before <> <<byte, byte>> <> rest
      4 -> before <> <<byte>>
      _ -> before <> <<Bitwise.bxor(byte, Bitwise.bsl(1, :rand.uniform(8) - 1))>> <> rest
    end
  end

  # The file is written anew, for a log may be repaired where it lies.
  defp outcome(module, path, bytes, verify) do
    File.write!(path, bytes)
    before = Native.all()

    case module.file2tab(String.to_charlist(path), verify: verify) do
      {:ok, table} ->
        facts = for item <- [:name, :type, :keypos, :protection], do: module.info(table, item)
        objects = module.tab2list(table) |> Enum.sort()
        module.delete(table)
        {:ok, facts, objects}

      {:error, _reason} ->
        [] = Native.all() -- before
        :error
    end
  catch
    :error, :badarg -> {:raised, :badarg}
    kind, reason when module == Table -> {:raised, {kind, reason, __STACKTRACE__}}
    _kind, _reason -> {:raised, :badarg}
  end
end

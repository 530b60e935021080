defmodule Blanket.Table.AccessTest do
  # Every function of Blanket.Table and every stub is called by a process that has no right to, with what
  # its owner itself could pass: its keys, its objects, its continuations, cursors and snapshots.
  #
  # Not async: a process that has a right to nothing tries all there is.
  use ExUnit.Case, async: false

  import ExUnit.CaptureIO

  alias Blanket.{Hostile, Native, Table}

  @moduletag :tmp_dir

  # Whatever names a file, does so there.
  setup %{tmp_dir: dir} do
    before = File.cwd!()
    File.cd!(dir)
    on_exit(fn -> File.cd!(before) end)
  end

  @secret "the secret that only the owner may read"
  @calls 40

  for type <- [:set, :ordered_set, :bag, :duplicate_bag] do
    test "a private #{type} is neither read nor changed by others", context do
      {owner, given} = owned(unquote(type), :private, context.tmp_dir)
      before = state(owner)

      for {module, name, arity} <- functions(), _ <- 1..@calls do
        call = {module, name, args(given, arity)}
        answer = try_it(call)
        refute has_secret?(answer), "#{inspect(call)} answers #{inspect(answer)}"
        assert state(owner) == before, "#{inspect(call)} changes the table"
      end

      for file <- File.ls!(context.tmp_dir),
          do: refute(has_secret?(File.read!(Path.join(context.tmp_dir, file))), file)
    end

    test "a protected #{type} is not changed by others", context do
      {owner, given} = owned(unquote(type), :protected, context.tmp_dir)
      before = state(owner)

      for {module, name, arity} <- functions(), _ <- 1..@calls do
        call = {module, name, args(given, arity)}
        try_it(call)
        assert state(owner) == before, "#{inspect(call)} changes the table"
      end
    end
  end

  test "the owner finds its secret by those calls" do
    table = Table.new(:table, [:private])
    Table.insert(table, object(1))

    assert has_secret?(Table.lookup(table, 1))
    assert has_secret?(forced(Table.table(table)))
    assert has_secret?(forced(Table.stream(table)))
    assert has_secret?(%{deep: [{1, <<"in ", @secret::binary>>}]})
    refute has_secret?(Table.info(table))
  end

  defp functions do
    for({name, arity} <- Table.__info__(:functions), do: {Table, name, arity}) ++
      for({name, arity} <- Hostile.stubs(), do: {Native, name, arity})
  end

  # A process that owns a table, and what others are given to try with.
  defp owned(type, protection, dir) do
    test = self()

    owner =
      spawn_link(fn ->
        table = Table.new(:blanket_access_test, [type, protection, :named_table])
        for key <- 1..300, do: Table.insert(table, object(key))
        {_, continuation} = Native.select(table, [{:"$1", [], [:"$1"]}], 100)
        {_, matching} = Table.match_object(table, :_, 2)
        {_, cursor} = Native.scan(table, :start)
        {:ok, snapshot} = Table.snapshot(table)
        tables = [Table.whereis(table), table, snapshot]
        send(test, {self(), tables, [continuation, matching, cursor]})
        serve(table)
      end)

    assert_receive {^owner, tables, places}
    unordered = places |> Enum.filter(&is_tuple/1) |> Enum.map(&without_results/1)
    {owner, %{tables: tables, places: unordered ++ [List.last(places)], dir: dir}}
  end

  # The results that are left over have been read by the owner, who hands them on.
  defp without_results(continuation), do: put_elem(continuation, 4, [])

  defp object(key), do: {key, @secret, [String.duplicate(@secret, 4)]}

  defp serve(table) do
    receive do
      {:state, from} ->
        facts = Map.drop(Native.info(table), [:memory, :fixations])
        send(from, {:state, facts, :erlang.phash2(Table.tab2list(table))})
    end

    serve(table)
  end

  defp state(owner) do
    send(owner, {:state, self()})
    assert_receive {:state, facts, contents}
    {facts, contents}
  end

  defp args(_given, 0), do: []

  # The table mostly comes first, but after a fun in some.
  defp args(given, arity) do
    place = Enum.random([1, 1, 1, 1, arity, :none])
    for at <- 1..arity, do: if(at == place, do: Enum.random(given.tables), else: value(given))
  end

  defp value(given) do
    table = hd(given.tables)
    key = Enum.random(1..300)

    Enum.random([
      key,
      key,
      1,
      2,
      {key, :overwritten},
      [{key, :overwritten}, {1000, :new}],
      {2, :overwritten},
      [key, 1000],
      [{:"$1", [], [:"$1"]}],
      [{:_, [], [true]}],
      [{{:"$1", :_, :_}, [], [{{:"$1", 1, 1}}]}],
      {:"$1", :"$2", :_},
      {key, "a guess", []},
      :public,
      [:public],
      {:unchanged, :public},
      {:none, :public},
      true,
      false,
      :start,
      self(),
      :blanket_access_test,
      :stolen,
      Enum.random(given.places),
      Enum.random(given.places),
      {table, key, 10, Native.compile_match_spec([{:"$1", [], [:"$1"]}], :set, 1), [], :forward},
      String.to_charlist(Path.join(given.dir, "file#{key}")),
      [],
      fn object, acc -> [object | acc] end,
      fn object -> object end,
      fn -> :done end,
      :binary,
      [traverse: :select]
    ])
  end

  # With a process for its file, OTP would wait for ever for an answer: such calls get it as no argument.
  defp try_it({module, name, args}) do
    files = [:tab2file, :file2tab, :tabfile_info]
    args = if name in files, do: Enum.reject(args, &(&1 == self())), else: args

    capture_io("q\n", fn -> send(self(), {:answer, forced(apply(module, name, args))}) end)
    |> then(fn printed -> receive do: ({:answer, answer} -> {printed, answer}) end)
  catch
    kind, reason -> {kind, reason}
  end

  # What is answered may read the table only when it is used.
  defp forced(fun) when is_function(fun, 2), do: Enum.take(fun, 1000)
  defp forced(%Stream{} = stream), do: Enum.take(stream, 1000)
  defp forced(handle) when elem(handle, 0) == :qlc_handle, do: :qlc.e(handle)
  defp forced({results, continuation}), do: {forced(results), continuation}
  defp forced(answer), do: answer

  defp has_secret?(binary) when is_binary(binary), do: :binary.match(binary, @secret) != :nomatch
  defp has_secret?([head | tail]), do: has_secret?(head) or has_secret?(tail)
  defp has_secret?(tuple) when is_tuple(tuple), do: tuple |> Tuple.to_list() |> has_secret?()
  defp has_secret?(map) when is_map(map), do: map |> Map.to_list() |> has_secret?()
  defp has_secret?(_term), do: false
end

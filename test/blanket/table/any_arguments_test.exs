defmodule Blanket.Table.AnyArgumentsTest do
  # Not async: what is made here is given away and named at random.
  use ExUnit.Case, async: false

  alias Blanket.{HostileTerms, Table}

  # They read and write files, ask at the terminal, call what they are given or end in OTP's own modules.
  @others [
            :backup,
            :claim,
            :file2tab,
            :foldl,
            :foldr,
            :from_dets,
            :fun2ms,
            :i,
            :init_table,
            :is_compiled_ms
          ] ++
            [:match_spec_compile, :match_spec_run, :restore, :tab2file, :tabfile_info] ++
            [:test_ms, :to_dets, :verify]

  @functions for function <- Table.__info__(:functions),
                 elem(function, 0) not in @others,
                 do: function

  test "functions answer, or raise a badarg that tells which argument was wrong" do
    :rand.seed(:exsss, {ExUnit.configuration()[:seed], 5, 8})
    pools = HostileTerms.pools([spawn_link(fn -> Process.sleep(:infinity) end)])
    functions = List.to_tuple(@functions)

    for _ <- 1..150 do
      tables =
        List.to_tuple(for type <- [:set, :ordered_set, :bag, :duplicate_bag], do: table(type))

      for _ <- 1..200 do
        {name, arity} = HostileTerms.pick(functions)
        args = for place <- 1..arity//1, do: argument(pools, tables, place)
        assert told?(name, args), "#{name} with #{inspect(args)}"
      end

      for table <- Tuple.to_list(tables),
          Table.info(table, :owner) == self(),
          do: Table.delete(table)
    end
  end

  test "what is wrong with a limit or the options of a query is told" do
    table = Table.new(:table, [])

    assert_raise ArgumentError, ~r/3rd argument: out of range: too large/, fn ->
      Table.select(table, [{:_, [], [true]}], Bitwise.bsl(1, 64))
    end

    assert_raise ArgumentError, ~r/2nd argument: not valid options/, fn ->
      Table.table(table, [{:n_objects, 1} | :improper])
    end
  end

  test "of a list with something in it that is no snapshot none is released" do
    {:ok, snapshot} = Table.snapshot(Table.new(:table, []))

    for wrong <- [[snapshot, :wrong], [snapshot | :improper], [snapshot, [snapshot]]] do
      assert_raise ArgumentError, ~r/1st argument: /, fn -> Table.release(wrong) end
      assert Table.tab2list(snapshot) == []
    end
  end

  defp table(type) do
    table = Table.new(:any, [type, :public])
    for key <- HostileTerms.keys(), do: Table.insert(table, {key, 1, 1})
    table
  end

  defp argument(pools, tables, place) do
    case {place, :rand.uniform(6)} do
      {1, n} when n > 2 -> HostileTerms.pick(tables)
      {_, n} when n > 3 -> HostileTerms.likely(pools, place)
      _ -> HostileTerms.value(pools, {})
    end
  end

  defp told?(name, args) do
    apply(Table, name, args)
    true
  catch
    :error, :badarg -> Exception.format_banner(:error, :badarg, __STACKTRACE__) =~ " argument: "
    :error, %KeyError{} -> name == :fetch!
    :error, {:badfun, _} -> true
    :error, {:badarity, _} -> true
    # As with :ets.
    :error, :function_clause -> name == :repair_continuation
  end
end

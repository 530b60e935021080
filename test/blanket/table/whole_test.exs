defmodule Blanket.Table.WholeTest do
  # What goes over a whole table: folds, streams, filling it anew.
  use ExUnit.Case, async: true

  alias Blanket.Table

  @types [:set, :ordered_set, :bag, :duplicate_bag]

  defp filled(module, type, count) do
    table = module.new(:whole, [type, :public])
    for i <- 1..count//1, do: module.insert(table, {i, i})
    table
  end

  defp message(fun), do: assert_raise(ArgumentError, fun) |> Exception.message()
  defp elsewhere(fun), do: fun |> Task.async() |> Task.await()

  defp memory do
    :erlang.garbage_collect()
    {:memory, bytes} = Process.info(self(), :memory)
    bytes
  end

  for type <- @types do
    describe "a fold over a #{type}" do
      @describetag type: type

      test "sees every object once", %{type: type} do
        for count <- [0, 1, 3000] do
          table = filled(Table, type, count)
          expected = for i <- 1..count//1, do: {i, i}
          assert Enum.sort(Table.foldl(&[&1 | &2], [], table)) == expected
          assert Enum.sort(Table.foldr(&[&1 | &2], [], table)) == expected
        end
      end

      test "may change the table as it goes", %{type: type} do
        for fold <- [:foldl, :foldr] do
          table = filled(Table, type, 1000)

          seen =
            apply(Table, fold, [
              fn {key, _} = object, seen ->
                assert Table.info(table, :fixed) == true
                Table.delete_object(table, object)
                if is_integer(key), do: Table.insert(table, {{:new, key}, key})
                [key | seen]
              end,
              [],
              table
            ])

          assert Enum.sort(Enum.filter(seen, &is_integer/1)) == Enum.to_list(1..1000)
          assert Enum.uniq(seen) == seen
          assert Table.info(table, :fixed) == false
        end
      end

      test "releases the table when it fails", %{type: type} do
        table = filled(Table, type, 10)

        for fold <- [:foldl, :foldr] do
          assert catch_throw(apply(Table, fold, [fn _, _ -> throw(:enough) end, 0, table])) ==
                   :enough

          assert Table.info(table, :fixed) == false
        end
      end
    end

    test "a stream of a #{type} has every object once, and may be run again" do
      for count <- [0, 1, 127, 128, 129, 5000] do
        table = filled(Table, unquote(type), count)
        stream = Table.stream(table)
        assert Enum.sort(stream) == for(i <- 1..count//1, do: {i, i})
        Table.insert(table, {0, 0})
        assert Enum.count(stream) == count + 1
      end
    end

    test "a stream of a #{type} needs no room for the objects" do
      table = Table.new(:table, [unquote(type), :public])
      Table.insert(table, for(i <- 1..300_000, do: {i, i}))
      all = Table.stream(table)
      some = Table.stream(table, [{{:"$1", :"$2"}, [], [{{:"$2", :"$1"}}]}])

      for stream <- [all, some] do
        # In words; the list of them would take ten times as much.
        limit = %{size: 200_000, kill: true, error_logger: false}

        count = fn ->
          exit({:counted, Enum.reduce(stream, 0, fn _object, count -> count + 1 end)})
        end

        {pid, monitor} = :erlang.spawn_opt(count, [:monitor, max_heap_size: limit])
        assert_receive {:DOWN, ^monitor, :process, ^pid, reason}, 60_000
        assert reason == {:counted, 300_000}
      end
    end

    test "a stream of results over a #{type} is what select/2 answers" do
      table = filled(Table, unquote(type), 5000)

      for {match_spec, count} <- [
            {[{{:"$1", :"$2"}, [{:>, :"$1", 1000}], [{{:"$2", :"$1"}}]}], 4000},
            {[{{17, :"$1"}, [], [:"$1"]}], 1},
            {[{{:"$1", :_}, [{:<, :"$1", 0}], [:"$1"]}], 0},
            {[{{:"$1", :_}, [{:is_map, :"$1"}], [{:map_size, :"$1"}]}], 0}
          ] do
        results = table |> Table.stream(match_spec) |> Enum.to_list()
        assert length(results) == count
        assert Enum.sort(results) == Enum.sort(Table.select(table, match_spec))
      end
    end
  end

  test "an ordered_set is folded and streamed in its order" do
    table = filled(Table, :ordered_set, 1000)
    objects = for i <- 1..1000, do: {i, i}
    assert Table.foldl(&[&1 | &2], [], table) == Enum.reverse(objects)
    assert Table.foldr(&[&1 | &2], [], table) == objects
    assert Enum.to_list(Table.stream(table)) == objects
  end

  test "the objects of a key come in the order of insertion" do
    table = Table.new(:whole, [:duplicate_bag])
    objects = for i <- 1..1000, do: {:a, i}
    Table.insert(table, objects)
    assert Table.foldl(&[&1 | &2], [], table) == Enum.reverse(objects)
    assert Table.foldr(&[&1 | &2], [], table) == objects
    assert Enum.to_list(Table.stream(table)) == objects
  end

  test "a stream sees what is there throughout once, while others write" do
    table = filled(Table, :set, 20_000)

    for i <- 1..4 do
      start_supervised!(
        {Task,
         fn ->
           Stream.iterate(1, &(&1 + 1))
           |> Enum.each(fn j ->
             Table.insert(table, {{i, j}, 0})
             if rem(j, 3) == 0, do: Table.delete(table, {i, j - 1})
           end)
         end},
        id: i
      )
    end

    keys = for {key, _} <- Table.stream(table), is_integer(key), do: key
    for i <- 1..4, do: stop_supervised!(i)
    assert Enum.sort(keys) == Enum.to_list(1..20_000)
  end

  test "a stream does not take the memory of the table" do
    table = Table.new(:whole, [])

    for i <- 1..200,
        do: Table.insert(table, for(j <- 1..1000, do: {{i, j}, "a value of some size"}))

    elsewhere(fn ->
      before = memory()
      count = Enum.reduce(Table.stream(table), 0, fn _, count -> count + 1 end)
      assert count == 200_000
      assert memory() - before < 1_000_000
    end)
  end

  test "a stream may be left early, and goes on in another process" do
    table = filled(Table, :ordered_set, 1000)
    assert Enum.take(Table.stream(table), 3) == [{1, 1}, {2, 2}, {3, 3}]
    step = &{:suspend, [&1 | &2]}
    {:suspended, [first], go_on} = Enumerable.reduce(Table.stream(table), {:cont, []}, step)
    {:suspended, [second, ^first], _} = elsewhere(fn -> go_on.({:cont, [first]}) end)
    assert {first, second} == {{1, 1}, {2, 2}}
  end

  test "folds and streams are for those who may read, of tables that are there" do
    table = Table.new(:whole, [:private])
    stream = Table.stream(table)

    elsewhere(fn ->
      assert message(fn -> Table.foldl(&[&1 | &2], [], table) end) =~ "private"
      assert message(fn -> Table.foldr(&[&1 | &2], [], table) end) =~ "private"
      assert message(fn -> Enum.to_list(stream) end) =~ "private"
    end)

    assert message(fn -> Enum.to_list(Table.stream(table, [:none])) end) =~ "2nd argument"
    Table.delete(table)
    assert message(fn -> Enum.to_list(stream) end) =~ "1st argument: the table"
    assert message(fn -> Enum.to_list(Table.stream(table, [])) end) =~ "1st argument: the table"
    assert message(fn -> Table.foldl(&[&1 | &2], [], table) end) =~ "1st argument: the table"
  end

  describe "init_table" do
    defp supply(portions) do
      fn
        :read ->
          case portions do
            [] -> :end_of_input
            [portion | rest] -> {portion, supply(rest)}
          end

        :close ->
          send(self(), :closed)
      end
    end

    test "replaces the objects by those that are supplied" do
      for module <- [Table, :ets], type <- @types do
        table = filled(module, type, 10)

        assert module.init_table(table, supply([[{:a, 1}, {:b, 2}], [], [[{:c, 3}, {:d, 4}]]])) ==
                 true

        assert Enum.sort(module.tab2list(table)) == [a: 1, b: 2, c: 3, d: 4]
      end

      refute_received :closed
    end

    test "exits when the supply is none, or the objects are none" do
      for module <- [Table, :ets] do
        table = filled(module, :set, 10)
        assert {:badarg, [_ | _]} = catch_exit(module.init_table(table, supply([[{1}], [:none]])))
        assert_received :closed
        assert catch_exit(module.init_table(table, fn :read -> :nothing end)) == :nothing

        assert catch_exit(module.init_table(table, fn :read -> {[{1}], :no_fun} end)) ==
                 {[{1}], :no_fun}

        assert catch_throw(module.init_table(table, fn :read -> throw(:enough) end)) == :enough
        assert module.info(table, :size) == 0
      end
    end

    test "leaves a table alone that may not be written" do
      table = filled(Table, :set, 10)
      Table.setopts(table, {:protection, :protected})

      elsewhere(fn ->
        assert message(fn -> Table.init_table(table, supply([[{1}]])) end) =~ "protected"
      end)

      assert Table.info(table, :size) == 10
    end
  end

  test "the binaries of a table are told, with their sizes" do
    for module <- [Table, :ets] do
      table = module.new(:whole, [:private])
      assert module.info(table, :binary) == []

      module.insert(table, [
        {1, String.duplicate("a", 100)},
        {2, String.duplicate("b", 2000)},
        {3, "c"}
      ])

      for i <- 4..500, do: module.insert(table, {i, i})
      :erlang.garbage_collect()

      assert [{_, 100, references}, {_, 2000, _}] =
               module.info(table, :binary) |> Enum.sort_by(&elem(&1, 1))

      assert references > 0
    end

    assert Table.info(:no_such_table, :binary) == :undefined
    assert message(fn -> Table.info(Table.new(:whole, []), :binaries) end) =~ "2nd argument"
  end

  test "the binaries of a private table are its owner's to see" do
    table = Table.new(:whole, [:private])
    elsewhere(fn -> assert message(fn -> Table.info(table, :binary) end) =~ "private" end)
  end
end

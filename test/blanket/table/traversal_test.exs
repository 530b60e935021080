defmodule Blanket.Table.TraversalTest do
  use ExUnit.Case, async: true

  # What a process's exit brings about, its monitors may see a moment before.
  import Blanket.Test.Eventually

  alias Blanket.Table

  @types [:set, :ordered_set, :bag, :duplicate_bag]

  defp filled(type, keys) do
    table = Table.new(:table, [type, :public])
    Table.insert(table, for(key <- keys, do: {key, key}))
    table
  end

  defp elsewhere(fun), do: fun |> Task.async() |> Task.await()

  defp message(fun), do: assert_raise(ArgumentError, fun) |> Exception.message()

  # All that a traversal finds; `between` is called for each key, before the next step.
  defp walk(table, first, next, between \\ fn _key -> :ok end) do
    case apply(Table, first, [table]) do
      :"$end_of_table" -> []
      found -> walk_on(found, table, next, between)
    end
  end

  defp walk_on(found, table, next, between) do
    key = with {key, _objects} <- found, do: key
    between.(key)

    case apply(Table, next, [table, key]) do
      :"$end_of_table" -> [found]
      following -> [found | walk_on(following, table, next, between)]
    end
  end

  describe "steps with a look-up" do
    for type <- @types do
      test "answer keys with their objects, in a #{type}" do
        table = filled(unquote(type), 1..500)
        found = walk(table, :first_lookup, :next_lookup)
        assert Enum.sort(found) == for(i <- 1..500, do: {i, [{i, i}]})
        assert Enum.map(found, &elem(&1, 0)) == walk(table, :first, :next)

        back = walk(table, :last_lookup, :prev_lookup)
        assert Enum.sort(back) == Enum.sort(found)
        assert Enum.map(back, &elem(&1, 0)) == walk(table, :last, :prev)
      end

      test "end where the table does, in a #{type}" do
        table = Table.new(:table, [unquote(type)])
        assert Table.first_lookup(table) == :"$end_of_table"
        assert Table.last_lookup(table) == :"$end_of_table"
        Table.insert(table, {1})
        assert Table.next_lookup(table, 1) == :"$end_of_table"
        assert Table.prev_lookup(table, 1) == :"$end_of_table"
      end
    end

    test "find all objects of a key, few or many, in the order of insertion" do
      for count <- [2, 20, 50_000] do
        table = Table.new(:table, [:duplicate_bag])
        objects = for i <- 1..count, do: {{:a, "key"}, i, "value"}
        Table.insert(table, objects)
        assert Table.first_lookup(table) == {{:a, "key"}, objects}
      end
    end

    test "answer the key as it is in the table" do
      table = filled(:ordered_set, [1, 2.0])
      assert Table.next_lookup(table, 1.0) === {2.0, [{2.0, 2.0}]}
    end

    test "start from keys that are there, but for an ordered_set" do
      assert Table.next_lookup(filled(:ordered_set, [1, 3]), 2) == {3, [{3, 3}]}
      assert Table.prev_lookup(filled(:ordered_set, [1, 3]), 2) == {1, [{1, 1}]}

      for step <- [:next_lookup, :prev_lookup] do
        text = message(fn -> apply(Table, step, [filled(:set, [1]), 2]) end)
        assert text =~ "2nd argument: not an existing key"
      end
    end
  end

  test "a list of the whole table keeps the objects of each key in the order of insertion" do
    for type <- [:bag, :duplicate_bag] do
      table = Table.new(:table, [type])
      Table.insert(table, for(i <- 1..200, key <- 1..300, i <= key, do: {key, i}))
      listed = table |> Table.tab2list() |> Enum.group_by(&elem(&1, 0), &elem(&1, 1))
      assert listed == Map.new(1..300, &{&1, Enum.to_list(1..min(&1, 200))})
    end
  end

  describe "slots" do
    for type <- @types do
      test "show every object once, and then the end, in a #{type}" do
        for count <- [0, 1, 100, 10_000] do
          table = filled(unquote(type), Enum.to_list(1..count//1))

          shown =
            Stream.iterate(0, &(&1 + 1))
            |> Stream.map(&Table.slot(table, &1))
            |> Enum.take_while(&(&1 != :"$end_of_table"))

          assert shown |> Enum.concat() |> Enum.sort() == for(i <- 1..count//1, do: {i, i})
          assert message(fn -> Table.slot(table, length(shown) + 1) end) =~ "beyond the end"
        end
      end
    end

    test "of an ordered_set are its objects, in their order" do
      table = filled(:ordered_set, Enum.shuffle(1..100_000))

      for slot <- [0, 1, 77_777, 99_999],
          do: assert(Table.slot(table, slot) == [{slot + 1, slot + 1}])

      assert Table.slot(table, 100_000) == :"$end_of_table"
      Table.insert(table, {0, 0})
      assert Table.slot(table, 77_777) == [{77_777, 77_777}]
    end

    test "hold all objects of a key, few or many, in the order of insertion" do
      for count <- [2, 20, 32, 33, 50_000] do
        table = Table.new(:table, [:duplicate_bag])
        objects = for i <- 1..count, do: {:a, i}
        Table.insert(table, objects)
        assert Enum.flat_map(0..4095, &Table.slot(table, &1)) == objects
      end
    end

    test "see what is there throughout once, while the table grows" do
      table = filled(:set, 1..1000)

      shown =
        for slot <- 0..4095, object <- Table.slot(table, slot), reduce: [] do
          shown ->
            {key, _} = object
            if is_integer(key), do: Table.insert(table, for(i <- 1..20, do: {{key, i}, 0}))
            [object | shown]
        end

      assert Enum.sort(for {key, _} <- shown, is_integer(key), do: key) == Enum.to_list(1..1000)
    end

    test "are numbered from 0" do
      table = filled(:set, [1])
      assert message(fn -> Table.slot(table, -1) end) =~ "2nd argument: out of range"
      assert message(fn -> Table.slot(table, :a) end) =~ "2nd argument: not an integer"
      assert message(fn -> Table.slot(table, 4097) end) =~ "2nd argument: out of range"
      assert message(fn -> Table.slot(:none_such, :a) end) =~ "2nd argument: not an integer"
    end
  end

  describe "a fixation" do
    for type <- @types do
      test "lets a traversal go on from a key that is gone, in a #{type}" do
        table = filled(unquote(type), 1..2000)
        Table.safe_fixtable(table, true)
        seen = walk(table, :first, :next, &Table.delete(table, &1))
        assert Enum.sort(seen) == Enum.to_list(1..2000)
        assert Table.info(table, :size) == 0
      end

      test "does not show objects twice or leave some out while others come and go, in a #{type}" do
        table = filled(unquote(type), 1..2000)
        Table.safe_fixtable(table, true)

        seen =
          walk(table, :first_lookup, :next_lookup, fn
            key when is_integer(key) ->
              Table.insert(table, for(i <- 1..10, do: {{key, i}, 0}))
              if rem(key, 2) == 0, do: Table.delete(table, key)

            {key, _} = mine ->
              Table.delete(table, mine)
              Table.insert(table, {{key, :again}, 0})
          end)

        stayed = for {key, _objects} <- seen, is_integer(key), rem(key, 2) == 1, do: key
        assert Enum.sort(stayed) == Enum.to_list(1..2000//2)
        assert Enum.uniq(seen) == seen
      end
    end

    test "goes on when the table is emptied" do
      table = filled(:set, 1..100)
      Table.safe_fixtable(table, true)
      key = Table.first(table)
      Table.delete_all_objects(table)
      assert Table.next(table, key) == :"$end_of_table"
    end

    test "is needed to go on from a key that is gone" do
      table = filled(:bag, 1..10)
      key = Table.first(table)
      Table.delete(table, key)
      assert_raise ArgumentError, fn -> Table.next(table, key) end
      Table.safe_fixtable(table, true)
      assert Table.next(table, key) in 1..10
      Table.safe_fixtable(table, false)
      assert_raise ArgumentError, fn -> Table.next(table, key) end
    end

    test "of one process serves another" do
      table = filled(:set, 1..10)
      Table.safe_fixtable(table, true)
      key = Table.first(table)
      Table.delete(table, key)
      assert elsewhere(fn -> Table.next(table, key) end) in 1..10
    end

    test "is counted by process" do
      table = filled(:set, [1])
      me = self()

      for item <- [:fixed, :safe_fixed, :safe_fixed_monotonic_time],
          do: assert(Table.info(table, item) == false)

      before = {:erlang.monotonic_time(), :erlang.timestamp()}
      assert Table.safe_fixtable(table, true) == true
      assert Table.safe_fixtable(table, true) == true
      assert Table.info(table, :fixed) == true
      assert {monotonic, [{^me, 2}]} = Table.info(table, :safe_fixed_monotonic_time)
      assert {{_, _, _} = time, [{^me, 2}]} = Table.info(table, :safe_fixed)
      assert {monotonic, time} >= before and time <= :erlang.timestamp()

      elsewhere(fn ->
        Table.safe_fixtable(table, true)
        assert {^monotonic, fixing} = Table.info(table, :safe_fixed_monotonic_time)
        assert Enum.sort(fixing) == Enum.sort([{me, 2}, {self(), 1}])
        Table.safe_fixtable(table, false)
        assert {^monotonic, [{^me, 2}]} = Table.info(table, :safe_fixed_monotonic_time)
        # Not mine to release.
        assert Table.safe_fixtable(table, false) == true
      end)

      Table.safe_fixtable(table, false)
      assert {^monotonic, [{^me, 1}]} = Table.info(table, :safe_fixed_monotonic_time)
      Table.safe_fixtable(table, false)
      assert Table.info(table, :fixed) == false
      assert Table.safe_fixtable(table, false) == true
      assert Table.info(table, :fixed) == false
    end

    test "goes with its process, however that exits" do
      table = filled(:set, [1])
      me = self()

      for reason <- [:normal, :kill, :crash] do
        {pid, monitor} =
          spawn_monitor(fn ->
            for _ <- 1..3, do: Table.safe_fixtable(table, true)
            send(me, :fixed)
            if reason == :normal, do: :ok, else: Process.sleep(:infinity)
          end)

        assert_receive :fixed
        Process.exit(pid, reason)
        assert_receive {:DOWN, ^monitor, :process, ^pid, _}
        assert Table.info(table, :fixed) == false
      end
    end

    test "of one process stays when another's goes" do
      table = filled(:set, [1])
      me = self()
      Table.safe_fixtable(table, true)

      {pid, monitor} = spawn_monitor(fn -> Table.safe_fixtable(table, true) end)
      assert_receive {:DOWN, ^monitor, :process, ^pid, _}
      assert {_, [{^me, 1}]} = Table.info(table, :safe_fixed)
    end

    test "outlives a change of owner" do
      table = Table.new(:table, [:public])
      me = self()

      {friend, _} =
        spawn_monitor(fn ->
          receive do: ({:"ETS-TRANSFER", ^table, ^me, :gift} -> send(me, :mine))
          receive do: (:stop -> :ok)
        end)

      Table.safe_fixtable(table, true)
      Table.give_away(table, friend, :gift)
      assert_receive :mine
      assert {_, [{^me, 1}]} = Table.info(table, :safe_fixed)
      send(friend, :stop)
      eventually(fn -> Table.info(table) == :undefined end)
    end

    test "is for those who may read, of tables that are there" do
      table = Table.new(:table, [:private])

      elsewhere(fn ->
        assert message(fn -> Table.safe_fixtable(table, true) end) =~ "private"
      end)

      assert message(fn -> Table.safe_fixtable(table, :yes) end) =~
               "2nd argument: neither true nor false"

      Table.delete(table)
      assert message(fn -> Table.safe_fixtable(table, false) end) =~ "1st argument: the table"
    end
  end
end

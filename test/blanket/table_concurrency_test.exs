defmodule Blanket.TableConcurrencyTest do
  # Many processes on one table: what each call promises by itself has to hold among them all.
  use ExUnit.Case, async: true

  alias Blanket.Table

  @processes 16

  # Runs `fun` in many processes, which begin together, and answers their results.
  defp together(count \\ @processes, fun) do
    tasks =
      for i <- 1..count do
        Task.async(fn ->
          receive do
            :go -> fun.(i)
          end
        end)
      end

    for task <- tasks, do: send(task.pid, :go)
    Task.await_many(tasks, :infinity)
  end

  # Does `work` over and over in processes that are killed in the midst of it.
  defp killed_at_work(count, work) do
    for i <- 1..count do
      parent = self()

      {pid, monitor} =
        spawn_monitor(fn ->
          send(parent, {:working, self()})
          Enum.each(Stream.iterate(0, &(&1 + 1)), &work.(i, &1))
        end)

      assert_receive {:working, ^pid}, 5_000
      for _ <- 1..:rand.uniform(2_000), do: :erlang.yield()
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, :process, ^pid, reason}, 30_000
      assert reason == :killed
    end
  end

  for type <- [:set, :ordered_set] do
    describe "on a #{type}" do
      @describetag type: type

      test "counters lose no update, on few keys and on many", %{type: type} do
        for keys <- [1, 3, 5_000] do
          table = Table.new(:table, [type, :public])

          together(fn i ->
            for n <- 1..5_000 do
              Table.update_counter(table, {:key, rem(n * 7 + i, keys)}, {2, 1}, {nil, 0, i})
            end
          end)

          counts = for {_key, count, _} <- Table.tab2list(table), do: count
          assert Enum.sum(counts) == @processes * 5_000
          assert length(counts) == keys
        end
      end

      test "a counter's results are all different", %{type: type} do
        table = Table.new(:table, [type, :public])
        Table.insert(table, {:id, 0})
        ids = together(fn _ -> for _ <- 1..2_000, do: Table.update_counter(table, :id, 1) end)
        assert ids |> List.flatten() |> Enum.sort() == Enum.to_list(1..(@processes * 2_000))
      end

      test "elements set together are seen together", %{type: type} do
        table = Table.new(:table, [type, :public])
        Table.insert(table, {:key, 0, 0})

        together(fn
          i when i <= 4 ->
            for n <- 1..5_000, do: Table.update_element(table, :key, [{2, {i, n}}, {3, {i, n}}])

          _reader ->
            for _ <- 1..5_000 do
              assert [{:key, same, same}] = Table.lookup(table, :key)
            end
        end)
      end
    end
  end

  for type <- [:set, :ordered_set, :bag, :duplicate_bag] do
    describe "on any table, such as a #{type}," do
      @describetag type: type

      test "each process finds all it inserted, and nothing it deleted", %{type: type} do
        table = Table.new(:table, [type, :public])

        together(fn i ->
          for n <- 1..3_000 do
            Table.insert(table, {{n, i}, n})
            assert Table.lookup(table, {n, i}) == [{{n, i}, n}]

            if rem(n, 3) == 0 do
              Table.delete(table, {n - 1, i})
              refute Table.member(table, {n - 1, i})
            end
          end
        end)

        expected = for i <- 1..@processes, n <- 1..3_000, rem(n, 3) != 2, do: {{n, i}, n}
        assert Enum.sort(Table.tab2list(table)) == Enum.sort(expected)
        assert Table.info(table, :size) == length(expected)
      end

      test "a walk meets every key that stays, once, whatever comes and goes", %{type: type} do
        table = Table.new(:table, [type, :public])
        Table.insert(table, for(n <- 1..2_000, do: {n * 2, :stays}))

        together(6, fn
          i when i <= 3 ->
            for round <- 1..10, n <- 1..1_000 do
              key = {rem(round, 2), n * 2 + 1, i}
              Table.insert(table, {key, :goes})
              Table.delete(table, key)
            end

          _reader ->
            for _ <- 1..10 do
              staying = for {n, :stays} <- Table.tab2list(table), do: n
              assert Enum.sort(staying) == Enum.map(1..2_000, &(&1 * 2))
            end
        end)
      end

      test "of many that insert a new key, or list of keys, one does", %{type: type} do
        table = Table.new(:table, [type, :public])

        winners =
          together(fn i ->
            for n <- 1..2_000,
                (rem(n, 2) == 0 and Table.insert_new(table, {n, i})) or
                  (rem(n, 2) == 1 and Table.insert_new(table, [{n, i}, {-n, i}])),
                do: {n, i}
          end)
          |> List.flatten()

        assert winners |> Enum.map(&elem(&1, 0)) |> Enum.sort() == Enum.to_list(1..2_000)

        for {n, i} <- winners do
          assert Table.lookup(table, n) == [{n, i}]
          assert rem(n, 2) == 0 or Table.lookup(table, -n) == [{-n, i}]
        end
      end

      test "every object is taken by one process", %{type: type} do
        table = Table.new(:table, [type, :public])
        objects = for n <- 1..5_000, do: {n, n}
        Table.insert(table, objects)

        taken =
          together(fn _ -> for n <- 1..5_000, object <- Table.take(table, n), do: object end)

        assert taken |> List.flatten() |> Enum.sort() == objects
        assert Table.info(table, :size) == 0
      end

      test "a list comes as a whole, in the order of the calls", %{type: type} do
        table = Table.new(:table, [type, :public])
        last = 30
        keys = for n <- 1..400, do: {:key, n}
        Table.insert(table, for(key <- keys, do: {key, 0}))

        together(5, fn
          1 ->
            for round <- 1..last, do: Table.insert(table, for(key <- keys, do: {key, round}))

          _reader ->
            # What was seen of one key, all keys looked up later show, for lists come one after another.
            seen_all(table, keys, last, 0)
        end)
      end

      test "a list is new to all, or to nobody", %{type: type} do
        table = Table.new(:table, [type, :public])

        # Lists that overlap: had one come in half, the next would find the other half missing.
        together(8, fn i ->
          for n <- 1..200 do
            Table.insert_new(table, for(k <- 0..50, do: {{n, rem(k * i, 53)}, {i, k}}))
          end
        end)

        for {n, group} <- Enum.group_by(Table.tab2list(table), fn {{n, _}, _} -> n end) do
          winners = for {_key, {i, _}} <- group, uniq: true, do: i
          assert length(winners) == 1, "lists #{inspect(winners)} share round #{n}"
        end
      end

      test "delete_all_objects empties the table at once", %{type: type} do
        table = Table.new(:table, [type, :public])
        objects = for n <- 1..2_000, do: {n, n}

        together(4, fn
          1 ->
            for _ <- 1..50 do
              Table.insert(table, objects)
              assert Table.info(table, :size) == 2_000
              Table.delete_all_objects(table)
              assert Table.tab2list(table) == []
              assert Table.info(table, :size) == 0
            end

          _reader ->
            for _ <- 1..500 do
              for object <- Table.tab2list(table), do: assert({n, n} = object)
            end
        end)
      end

      test "killed writers leave the table whole", %{type: type} do
        table = Table.new(:table, [type, :public])
        keys = for n <- 1..3_000, do: {:list, n}

        killed_at_work(25, fn i, n ->
          Table.insert(table, for(key <- keys, do: {key, {i, n}}))
          Table.insert(table, {{:single, rem(n, 100)}, {i, n}})
          Table.delete(table, {:single, rem(n, 50)})
          Table.take(table, {:list, rem(n, 3_000) + 1})
          Table.insert_new(table, [{{:new, i}, n}, {{:new, i, 2}, n}])
          if type in [:bag, :duplicate_bag], do: Table.delete_all_objects(table)
        end)

        objects = Table.tab2list(table)
        assert Table.info(table, :size) == length(objects)

        for {key, _} = object <- objects do
          assert Table.member(table, key)
          assert object in Table.lookup(table, key)
        end

        for i <- 1..25,
            do: assert(Table.member(table, {:new, i}) == Table.member(table, {:new, i, 2}))

        # And nobody waits for a lock of the dead.
        for {key, _} <- objects, do: assert(Table.delete(table, key))
        assert Table.insert(table, for(key <- keys, do: {key, :again}))
        assert Table.info(table, :size) == 3_000
      end

      test "a table deleted under its users fails them, and no more", %{type: type} do
        for _ <- 1..50 do
          table = Table.new(:table, [type, :public])
          Table.insert(table, for(n <- 1..500, do: {n, n}))

          together(4, fn
            1 ->
              Table.delete(table)

            i ->
              assert_raise ArgumentError, fn ->
                for n <- Stream.iterate(1, &(&1 + 1)) do
                  Table.insert(table, {{i, n}, n})
                  Table.lookup(table, n)
                  if rem(n, 50) == 0, do: Table.tab2list(table)
                  if rem(n, 70) == 0, do: Table.insert(table, for(k <- 1..200, do: {k, n}))
                end
              end
          end)

          assert Table.info(table) == :undefined
        end
      end
    end
  end

  defp seen_all(_table, _keys, last, last), do: :ok

  defp seen_all(table, [one | _] = keys, last, _seen) do
    seen = newest(table, one)
    for key <- keys, do: assert(newest(table, key) >= seen)
    seen_all(table, keys, last, seen)
  end

  defp newest(table, key), do: table |> Table.lookup(key) |> List.last() |> elem(1)

  # To the VM a NIF costs next to nothing unless it says otherwise, and a loop of long ones would
  # keep all others waiting.
  test "calls that take long use up the time of their process" do
    bag = Table.new(:table, [:bag])
    Table.insert(bag, for(i <- 1..20_000, do: {:key, i}))
    objects = for i <- 1..2_000, do: {i, i}
    few = reductions(fn -> Table.member(bag, :key) end)
    assert reductions(fn -> Table.tab2list(bag) end) > few + 100
    assert reductions(fn -> Table.lookup(bag, :key) end) > few + 100
    assert reductions(fn -> Table.insert(bag, objects) end) > few + 100
  end

  defp reductions(call) do
    {:reductions, before} = Process.info(self(), :reductions)
    call.()
    {:reductions, later} = Process.info(self(), :reductions)
    later - before
  end
end

defmodule Blanket.TransactionConcurrencyTest do
  # Many transactions at once: nothing is lost, nobody starves, and the killed leave nothing behind.
  use ExUnit.Case, async: true

  alias Blanket.{Native, Table, Transaction}

  defp await_all(tasks), do: Task.await_many(tasks, :infinity)

  # A flag that others look at.
  defp flag, do: :atomics.new(1, [])
  defp raised?(flag), do: :atomics.get(flag, 1) == 1
  defp raise_flag(flag), do: :atomics.put(flag, 1, 1)

  for types <- [[:set], [:set, :ordered_set], [:ordered_set, :bag], [:duplicate_bag, :set]] do
    test "transfers between accounts of #{Enum.join(types, " and ")} keep the sum" do
      tables = for type <- unquote(types), do: Table.new(:accounts, [type, :public])
      accounts = for table <- tables, number <- 1..5, do: {table, number}
      for {table, number} <- accounts, do: Table.insert(table, {number, 100})
      total = 100 * length(accounts)
      done = flag()

      auditors = [
        Task.async(fn ->
          until(done, fn ->
            {:ok, sum} =
              Blanket.transaction(fn tx ->
                Enum.sum(
                  for table <- tables, {_, amount} <- Transaction.tab2list(tx, table), do: amount
                )
              end)

            assert sum == total
          end)
        end),
        Task.async(fn ->
          until(done, fn ->
            Table.with_snapshot(tables, fn snapshots ->
              amounts = for table <- snapshots, {_, amount} <- Table.tab2list(table), do: amount
              assert Enum.sum(amounts) == total
            end)
          end)
        end),
        # Lists hold several parts of a table at a time, too.
        Task.async(fn ->
          until(done, fn ->
            for table <- tables do
              Table.insert(table, for(i <- 1..2000, do: {{:other, i}, 0}))
              Table.match_delete(table, {{:other, :_}, :_})
            end
          end)
        end)
      ]

      clerks = for _ <- 1..4, do: Task.async(fn -> for _ <- 1..500, do: transfer(accounts) end)
      await_all(clerks)
      raise_flag(done)
      await_all(auditors)

      amounts =
        for {table, number} <- accounts, {_, amount} <- Table.lookup(table, number), do: amount

      assert Enum.sum(amounts) == total
    end
  end

  defp until(flag, fun) do
    fun.()
    unless raised?(flag), do: until(flag, fun)
  end

  defp transfer(accounts) do
    [{one, from}, {two, to}] = Enum.take_random(accounts, 2)
    amount = :rand.uniform(20)

    Blanket.transaction(fn tx ->
      [{^from, there}] = Transaction.take(tx, one, from)
      if there < amount, do: Transaction.abort(tx, :too_little)
      Transaction.insert(tx, one, {from, there - amount})
      if :rand.uniform(10) == 1, do: :erlang.yield()
      [{^to, other}] = Transaction.take(tx, two, to)
      Transaction.insert(tx, two, {to, other + amount})
    end)
  end

  test "of counters that all add to at once no step is lost" do
    for type <- [:set, :ordered_set] do
      table = Table.new(:counter, [type, :public])
      Table.insert(table, {:count, 0})

      count = fn ->
        for _ <- 1..300 do
          {:ok, _} =
            Blanket.transaction(fn tx ->
              count = Transaction.lookup_element(tx, table, :count, 2)
              :erlang.yield()
              Transaction.insert(tx, table, {:count, count + 1})
            end)
        end
      end

      await_all(for _ <- 1..10, do: Task.async(count))
      assert Table.lookup(table, :count) == [{:count, 3000}]
    end
  end

  test "a long transaction gets its turn among short ones" do
    check_turn(fn table, key ->
      Blanket.transaction(fn tx -> Transaction.update_counter(tx, table, key, 1) end)
    end)
  end

  test "a long transaction gets its turn among calls outside of any" do
    check_turn(fn table, key -> Table.update_counter(table, key, 1) end)
  end

  # Without a turn the other process writes in each try, before the transaction can end.
  test "in a turn nobody else changes what the transaction has read" do
    for type <- [:set, :ordered_set, :bag], look <- [:lookup, :select] do
      table = Table.new(:busy, [type, :public])
      Table.insert(table, {1, 0})
      runs = :counters.new(1, [])
      writer = spawn_link(fn -> write_on_request(table) end)

      assert {:ok, run} =
               Blanket.transaction(
                 fn tx ->
                   :counters.add(runs, 1, 1)

                   [{1, _}] =
                     if look == :lookup,
                       do: Transaction.lookup(tx, table, 1),
                       else: Transaction.select(tx, table, [{{1, :_}, [], [:"$_"]}])

                   send(writer, {:write, self()})
                   await_written_or_held_back(writer, 0)
                   Transaction.insert(tx, table, {2, 0})
                   :counters.get(runs, 1)
                 end,
                 retries: 20
               )

      assert run > 5
      # Who was held back writes now.
      assert_receive {:written, ^writer}, 60_000
      Process.unlink(writer)
      Process.exit(writer, :kill)
    end
  end

  defp write_on_request(table) do
    receive do
      {:write, from} ->
        Table.delete(table, 1)
        Table.insert(table, {1, make_ref()})
        send(from, {:written, self()})
    end

    write_on_request(table)
  end

  # Who is held back runs again and again, and is in the same call each time.
  defp await_written_or_held_back(writer, rounds, reductions \\ 0)
  defp await_written_or_held_back(_writer, 20, _reductions), do: :held_back

  defp await_written_or_held_back(writer, rounds, before) do
    receive do
      {:written, ^writer} -> :written
    after
      0 ->
        :erlang.yield()

        [current_function: {module, _, _}, reductions: now] =
          Process.info(writer, [:current_function, :reductions])

        cond do
          module != Native -> await_written_or_held_back(writer, 0, now)
          now == before -> await_written_or_held_back(writer, rounds, now)
          true -> await_written_or_held_back(writer, rounds + 1, now)
        end
    end
  end

  defp check_turn(write) do
    table = Table.new(:busy, [:public])
    Table.insert(table, for(key <- 1..200, do: {key, 0}))
    done = flag()

    writers =
      for _ <- 1..3,
          do:
            Task.async(fn ->
              until(done, fn -> write.(table, :rand.uniform(200)) end)
            end)

    for look <- [
          fn tx -> for key <- 1..200, do: hd(Transaction.lookup(tx, table, key)) end,
          fn tx ->
            Transaction.select(tx, table, [{{:"$1", :"$2"}, [{:is_integer, :"$1"}], [:"$_"]}])
          end
        ] do
      assert {:ok, objects} =
               Blanket.transaction(fn tx ->
                 objects = look.(tx)
                 # Others run in between.
                 for _ <- 1..20, do: :erlang.yield()
                 Transaction.insert(tx, table, {:sum, length(objects)})
                 objects
               end)

      assert length(objects) == 200
      assert Table.lookup(table, :sum) == [{:sum, 200}]
    end

    raise_flag(done)
    await_all(writers)
  end

  test "who has the turn and calls outside of the transaction does not wait for itself" do
    table = Table.new(:busy, [:public])
    Table.insert(table, {1, 0})
    runs = :counters.new(1, [])

    assert {:ok, _} =
             Blanket.transaction(fn tx ->
               :counters.add(runs, 1, 1)
               [{1, value}] = Transaction.lookup(tx, table, 1)
               if :counters.get(runs, 1) < 12, do: Table.insert(table, {1, value + 1})
               Transaction.insert(tx, table, {2, value})
             end)

    assert :counters.get(runs, 1) == 12
    assert Table.lookup(table, 2) == [{2, 11}]
    assert Table.insert(table, {3, 3})
  end

  test "a turn ends with its holder, and the next one comes" do
    table = Table.new(:busy, [:public])
    parent = self()

    [holder, next] =
      for number <- 1..2 do
        spawn(fn ->
          {turn, has_come?} = Native.join_turn([table])
          send(parent, {:joined, number, has_come?})
          unless has_come?, do: receive(do: ({:"$blanket_turn", ^turn} -> :ok))
          send(parent, {:turn, number})
          receive do: (:leave -> Native.leave_turn(turn))
          send(parent, {:left, number})
          receive do: (:exit -> :ok)
        end)
        |> tap(fn _pid -> assert_receive {:joined, ^number, _} end)
      end

    assert_receive {:turn, 1}
    refute_received {:turn, 2}
    writer = Task.async(fn -> Table.insert(table, {1, 1}) end)
    Process.exit(holder, :kill)
    assert_receive {:turn, 2}
    send(next, :leave)
    assert_receive {:left, 2}
    assert Task.await(writer)
    assert Table.lookup(table, 1) == [{1, 1}]
    Process.exit(next, :kill)
  end

  test "while a table is closed it may be deleted, renamed and opened to others" do
    table = Table.new(:busy, [:public])
    other = Table.new(:other, [:protected])
    parent = self()

    holder =
      spawn(fn ->
        {turn, true} = wait_for_turn([table, other])
        send(parent, :closed)
        receive do: (:leave -> Native.leave_turn(turn))
        send(parent, :open)
      end)

    assert_receive :closed
    assert Table.rename(table, :renamed) == table
    assert Table.setopts(other, {:protection, :public})
    assert Table.delete(table)
    assert_raise ArgumentError, fn -> Table.insert(table, {1, 1}) end
    send(holder, :leave)
    assert_receive :open
    assert Task.await(Task.async(fn -> Table.insert(other, {1, 1}) end))
  end

  test "a large commit that is held back waits on no scheduler, and is done after the turn" do
    table = Table.new(:busy, [:public])
    write_set = for key <- 1..1000, into: %{}, do: {{0, key}, {key, 0}}
    parent = self()

    # A turn that takes too long holds nobody back.
    held_back = fn ->
      holder =
        spawn(fn ->
          {turn, true} = wait_for_turn([table])
          send(parent, :closed)
          receive do: (:leave -> Native.leave_turn(turn))
        end)

      assert_receive :closed, 60_000
      {holder, Native.commit_large({table}, %{}, write_set, %{})}
    end

    {holder, :held_back} =
      Stream.repeatedly(held_back)
      |> Enum.find(fn {holder, answer} ->
        answer == :held_back or send(holder, :leave) != :leave
      end)

    writer =
      Task.async(fn ->
        Blanket.transaction(fn tx ->
          for key <- 1..1000, do: Transaction.insert(tx, table, {key, 1})
        end)
      end)

    send(holder, :leave)
    assert {:ok, _} = Task.await(writer, :infinity)
    assert Table.match_object(table, {:_, 0}) == []
    assert Table.info(table, :size) == 1000
  end

  defp wait_for_turn(tables) do
    case Native.join_turn(tables) do
      {turn, true} ->
        {turn, true}

      {turn, false} ->
        receive do: ({:"$blanket_turn", ^turn} -> {turn, true})
    end
  end

  test "whoever is killed in a transaction leaves its tables whole and free" do
    tables = for type <- [:set, :ordered_set], do: Table.new(:large, [type, :public])
    keys = 1..3000
    for table <- tables, do: Table.insert(table, for(key <- keys, do: {key, 0}))

    for round <- 1..60 do
      {pid, monitor} =
        spawn_monitor(fn ->
          Blanket.transaction(fn tx ->
            for table <- tables, key <- keys, do: Transaction.insert(tx, table, {key, round})
          end)
        end)

      for _ <- 1..:rand.uniform(20_000), do: :ok
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, _, _, _}, 60_000

      Table.with_snapshot(tables, fn snapshots ->
        versions = for table <- snapshots, {_, version} <- Table.tab2list(table), do: version
        assert [_] = Enum.uniq(versions)
      end)

      for table <- tables,
          do: assert(Table.insert(table, {Enum.random(keys), hd(versions(table))}))
    end
  end

  defp versions(table), do: for({_, version} <- Table.lookup(table, 1), do: version)
end

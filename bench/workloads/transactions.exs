defmodule Bench.Workloads.Transactions do
  @moduledoc """
  Transfers between two accounts, which are two reads and two writes: in a transaction, as four plain calls,
  and in a transaction of Mnesia's, on a table of its kind `ram_copies`.
  """

  alias Bench.{Row, Statistics}
  alias Blanket.{Table, Transaction}

  @accounts 10_000
  @few 4

  def all(settings) do
    for type <- [:set, :ordered_set],
        do: {"transactions on a #{type}", @accounts, "all", &measure(type, settings, &1)}
  end

  defp measure(type, settings, progress) do
    progress.("preparing")
    mnesia = start_mnesia(type)
    accounts = for key <- 1..@accounts, do: {key, 1000}
    table = Table.new(:bench, [type, :public])
    Table.insert(table, accounts)
    for {key, balance} <- accounts, do: :mnesia.dirty_write({mnesia, key, balance})

    {least, _most} = settings.rounds

    rounds =
      for n <- 1..least do
        progress.("round #{n}")
        round(table, mnesia, settings.calls)
      end

    true = sum(Table.tab2list(table)) == 1000 * @accounts
    :stopped = :mnesia.stop()
    Table.delete(table)

    for {name, goal, figures} <- rows() do
      %Row{
        group: "transactions on a #{type}",
        size: @accounts,
        name: name,
        unit: "ns",
        goal: goal,
        figures:
          for({label, key} <- figures, do: {label, Statistics.of(Enum.map(rounds, & &1[key]))})
      }
    end
  end

  defp rows do
    ten_times = {:ratio, 0.1}

    [
      {"two reads, two writes", {:ratio, 4.0}, [{"Blanket", :one}, {"four plain calls", :plain}]},
      {"one process", ten_times, [{"Blanket", :one}, {"Mnesia", :mnesia_one}]},
      {"two processes, any accounts", ten_times, [{"Blanket", :two}, {"Mnesia", :mnesia_two}]},
      {"two processes, #{@few} accounts", ten_times,
       [{"Blanket", :conflict}, {"Mnesia", :mnesia_conflict}]},
      {"two reads", nil, [{"Blanket", :reads}, {"Mnesia", :mnesia_reads}]}
    ]
  end

  # In nanoseconds, for one transaction.
  defp round(table, mnesia, calls) do
    few = div(calls, 10)

    %{
      plain: alone(calls, @accounts, &plain(table, &1, &2)),
      one: alone(calls, @accounts, &transfer(table, &1, &2)),
      two: both(calls, @accounts, &transfer(table, &1, &2)),
      conflict: both(calls, @few, &transfer(table, &1, &2)),
      reads: alone(calls, @accounts, &read(table, &1, &2)),
      mnesia_one: alone(few, @accounts, &mnesia_transfer(mnesia, &1, &2)),
      mnesia_two: both(few, @accounts, &mnesia_transfer(mnesia, &1, &2)),
      mnesia_conflict: both(few, @few, &mnesia_transfer(mnesia, &1, &2)),
      mnesia_reads: alone(few, @accounts, &mnesia_read(mnesia, &1, &2))
    }
  end

  defp plain(table, from, to) do
    [{_, one}] = Table.lookup(table, from)
    [{_, two}] = Table.lookup(table, to)
    Table.insert(table, {from, one - 1})
    Table.insert(table, {to, two + 1})
  end

  defp transfer(table, from, to) do
    {:ok, true} =
      Blanket.transaction(fn tx ->
        [{_, one}] = Transaction.lookup(tx, table, from)
        [{_, two}] = Transaction.lookup(tx, table, to)
        Transaction.insert(tx, table, {from, one - 1})
        Transaction.insert(tx, table, {to, two + 1})
      end)
  end

  defp read(table, from, to) do
    {:ok, _sum} =
      Blanket.transaction(fn tx ->
        [{_, one}] = Transaction.lookup(tx, table, from)
        [{_, two}] = Transaction.lookup(tx, table, to)
        one + two
      end)
  end

  defp mnesia_transfer(table, from, to) do
    {:atomic, :ok} =
      :mnesia.transaction(fn ->
        [{_, _, one}] = :mnesia.read(table, from)
        [{_, _, two}] = :mnesia.read(table, to)
        :mnesia.write({table, from, one - 1})
        :mnesia.write({table, to, two + 1})
      end)
  end

  defp mnesia_read(table, from, to) do
    {:atomic, _sum} =
      :mnesia.transaction(fn ->
        [{_, _, one}] = :mnesia.read(table, from)
        [{_, _, two}] = :mnesia.read(table, to)
        one + two
      end)
  end

  defp start_mnesia(type) do
    # Without a schema on the disk.
    Application.load(:mnesia)
    Application.put_env(:mnesia, :schema_location, :ram)
    :ok = :mnesia.start()
    table = :"bench_#{type}"

    {:atomic, :ok} =
      :mnesia.create_table(table, type: type, ram_copies: [node()], attributes: [:key, :balance])

    :ok = :mnesia.wait_for_tables([table], 5000)
    table
  end

  defp sum(accounts), do: Enum.sum(for {_, balance} <- accounts, do: balance)

  defp alone(calls, accounts, transfer), do: together(1, calls, accounts, transfer)

  # The time over the calls of both.
  defp both(calls, accounts, transfer), do: together(2, calls, accounts, transfer)

  defp together(processes, calls, accounts, transfer) do
    parent = self()
    each = div(calls, processes)

    workers =
      for number <- 1..processes do
        work = fn ->
          receive do: (:go -> :ok)
          loop(each, accounts, number * 7919, transfer)
          send(parent, {self(), :done})
        end

        scheduler = rem(number, System.schedulers_online()) + 1
        :erlang.spawn_opt(work, [:link, scheduler: scheduler, min_heap_size: 100_000])
      end

    start = System.monotonic_time()
    for worker <- workers, do: send(worker, :go)
    for worker <- workers, do: receive(do: ({^worker, :done} -> :ok))
    time = System.monotonic_time() - start
    System.convert_time_unit(time, :native, :nanosecond) / (each * processes)
  end

  # Two accounts, one after the other in a sequence that looks random.
  defp loop(0, _accounts, _seed, _transfer), do: :ok

  defp loop(calls, accounts, seed, transfer) do
    seed = rem(seed * 48_271, 2_147_483_647)
    from = rem(seed, accounts)
    to = rem(from + 1 + rem(div(seed, accounts), accounts - 1), accounts)
    transfer.(from + 1, to + 1)
    loop(calls - 1, accounts, seed, transfer)
  end
end

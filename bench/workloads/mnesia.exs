defmodule Bench.Workloads.Mnesia do
  @moduledoc """
  Tables of Mnesia on one node, Blanket's and Mnesia's own: in memory, where the schema is, too; and on a disc.
  """

  alias Bench.{Row, Statistics}

  @size 10_000

  # What is read and written is an object of a key, a name that 100 have, and a number.
  @attributes [:id, :name, :count]
  @names 100

  @kinds %{
    "in memory" => [{"Blanket", :blanket_copies}, {"ram_copies", :ram_copies}],
    "on a disc" => [{"Blanket", :blanket_disc_copies}, {"disc_copies", :disc_copies}]
  }

  def all(settings) do
    for {place, _} <- @kinds,
        do: {"Mnesia #{place}", @size, "all", &measure(place, settings, &1)}
  end

  defp measure(place, settings, progress) do
    progress.("preparing")
    start_mnesia(place)
    tables = for {label, kind} <- @kinds[place], do: {label, create(kind)}
    {least, _most} = settings.rounds

    rounds =
      for n <- 1..least do
        progress.("round #{n}")
        order = if rem(n, 2) == 0, do: Enum.reverse(tables), else: tables

        for {name, share, call} <- calls(place), {label, table} <- order, into: %{} do
          {{name, label}, time(div(settings.calls, share), &call.(table, &1))}
        end
      end

    stop_mnesia()

    for {name, _share, _call} <- calls(place) do
      %Row{
        group: "Mnesia #{place}",
        size: @size,
        name: name,
        unit: "ns",
        goal: {:ratio, 1.0},
        figures:
          for {label, _} <- tables do
            {label, Statistics.of(for(round <- rounds, do: round[{name, label}]))}
          end
      }
    end
  end

  @together 20

  defp calls("in memory"), do: calls()

  defp calls("on a disc") do
    calls() ++
      [
        {"transaction, a write, and on the disc", 400, &write_synced/2},
        {"the same, one of each of #{@together} processes", 400, &together/2}
      ]
  end

  defp write_synced({:bench_disc_copies = table, _counter}, n) do
    transaction(fn -> :mnesia.write(table, object(n), :write) end)
    :ok = :mnesia.sync_log()
  end

  defp write_synced({_table, _counter}, n),
    do: transaction(fn -> :mnesia.write(:bench_always, object(n), :write) end)

  defp together(tables, n) do
    1..@together
    |> Enum.map(&Task.async(fn -> write_synced(tables, n + &1) end))
    |> Task.await_many(:infinity)
  end

  # With how much less often than others it is called.
  defp calls do
    [
      {"dirty_read", 1, &:mnesia.dirty_read(&1, key(&2))},
      {"dirty_write", 1, &:mnesia.dirty_write(&1, object(&2))},
      {"dirty_update_counter", 1,
       fn {_table, counter}, n -> :mnesia.dirty_update_counter(counter, key(n), 1) end},
      {"dirty_index_read, 100 objects", 20, &:mnesia.dirty_index_read(&1, name(&2), :name)},
      {"dirty_select, a key", 2,
       &:mnesia.dirty_select(&1, [{{:person, key(&2), :_, :"$1"}, [], [:"$1"]}])},
      {"transaction, a read", 5, &transaction(fn -> :mnesia.read(&1, key(&2), :read) end)},
      {"transaction, a write", 5, &transaction(fn -> :mnesia.write(&1, object(&2), :write) end)},
      {"transaction, two reads, two writes", 10, &transaction(fn -> transfer(&1, &2) end)}
    ]
    |> Enum.map(fn
      {"dirty_update_counter" = name, share, call} -> {name, share, call}
      {name, share, call} -> {name, share, fn {table, _counter}, n -> call.(table, n) end}
    end)
  end

  defp transaction(fun), do: {:atomic, _} = :mnesia.transaction(fun)

  defp transfer(table, n) do
    [{_, one, name, count}] = :mnesia.read(table, key(n), :write)
    [{_, two, other, others}] = :mnesia.read(table, key(n + 1), :write)
    :mnesia.write(table, {:person, one, name, count - 1}, :write)
    :mnesia.write(table, {:person, two, other, others + 1}, :write)
  end

  # All keys, in a sequence that looks random.
  defp key(n), do: rem(n * 7919, @size) + 1
  defp name(n), do: "name #{rem(n, @names)}"
  defp object(n), do: {:person, key(n), name(key(n)), n}

  # In a process of its own, whose garbage is no other's.
  defp time(calls, call) do
    fn ->
      start = System.monotonic_time()
      loop(calls, call)
      time = System.monotonic_time() - start
      System.convert_time_unit(time, :native, :nanosecond) / calls
    end
    |> Task.async()
    |> Task.await(:infinity)
  end

  defp loop(0, _call), do: :ok

  defp loop(n, call) do
    call.(n)
    loop(n - 1, call)
  end

  defp create(kind) do
    table = :"bench_#{kind}"
    counter = :"bench_counter_#{kind}"
    person = [record_name: :person, attributes: @attributes, index: [:name]]
    {:atomic, :ok} = :mnesia.create_table(table, [{kind, [node()]} | person])
    {:atomic, :ok} = :mnesia.create_table(counter, [{kind, [node()]}])
    for n <- 1..@size, do: :ok = :mnesia.dirty_write(table, object(n))
    {table, counter}
  end

  defp start_mnesia("in memory") do
    Application.load(:mnesia)
    Application.put_env(:mnesia, :schema_location, :ram)
    :ok = :mnesia.start()
    :ok = Blanket.Mnesia.register()
  end

  defp start_mnesia("on a disc") do
    Application.load(:mnesia)
    dir = Path.join(System.tmp_dir!(), "blanket-bench-#{System.pid()}")
    Application.put_env(:mnesia, :schema_location, :disc)
    Application.put_env(:mnesia, :dir, to_charlist(dir))
    :ok = :mnesia.create_schema([node()], backend_types: Blanket.Mnesia.backend_types())
    :ok = :mnesia.start()

    {:atomic, :ok} =
      :mnesia.create_table(:bench_always,
        blanket_disc_copies: [node()],
        storage_properties: [blanket: [sync: :always]],
        record_name: :person,
        attributes: @attributes,
        index: [:name]
      )
  end

  defp stop_mnesia do
    :stopped = :mnesia.stop()
    if dir = Application.get_env(:mnesia, :dir), do: File.rm_rf!(dir)
    Application.delete_env(:mnesia, :dir)
  end
end

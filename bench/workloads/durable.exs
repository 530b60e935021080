defmodule Bench.Workloads.Durable do
  @moduledoc """
  Writing to durable tables, and opening one, compared with DETS and with tables of Mnesia's kind
  `disc_copies`, all of them in one folder, one after the other.

  What is written by and by is timed until all of it is on disk. DETS and Mnesia are told to write what they
  have with `:dets.sync/1` and `:mnesia.sync_log/0`: after each insert, or when all is inserted. DETS keeps its
  objects on disk, so what it takes to open it is the time to have them in a table of `:ets`.
  """

  alias Bench.{Data, Row, Statistics}
  alias Blanket.Table

  @group "durable tables"
  @writers 50
  # Of DETS, and of Mnesia.
  @goals [{"DETS", {:ratio, 0.2}}, {"Mnesia", {:ratio, 0.5}}]

  def all(settings) do
    size = List.last(settings.sizes)
    synced = div(settings.calls, 100)

    [
      {@group, size, "insert, on disk by and by", &by_and_by(size, &1)},
      {@group, size, "insert, on disk when it returns", &one(size, synced, &1)},
      {@group, size, "insert, on disk when it returns, #{@writers} processes",
       &many(size, synced, &1)},
      {@group, size, "open", &open(size, &1)}
    ]
  end

  defp by_and_by(size, progress) do
    rows("insert, on disk by and by", "ns", size, progress, fn subject, folder ->
      objects = Data.objects(:integer, :flat, size, :random)
      table = create(subject, folder, {:interval, 100})

      time(size, fn ->
        for object <- objects, do: insert(table, object)
        sync(table)
      end)
    end)
  end

  defp one(size, calls, progress) do
    rows("insert, on disk when it returns", "ns", size, progress, fn subject, folder ->
      table = create(subject, folder, :always)
      time(calls, fn -> for n <- 1..calls, do: insert_synced(table, {n, n}) end)
    end)
  end

  defp many(size, calls, progress) do
    name = "insert, on disk when it returns, #{@writers} processes"

    rows(name, "ns", size, progress, fn subject, folder ->
      table = create(subject, folder, :always)
      each = div(calls, 10)

      time(each * @writers, fn ->
        1..@writers
        |> Enum.map(fn writer ->
          Task.async(fn -> for n <- 1..each, do: insert_synced(table, {{writer, n}, n}) end)
        end)
        |> Task.await_many(:infinity)
      end)
    end)
  end

  defp open(size, progress) do
    rows("open", "µs", size, progress, fn subject, folder ->
      table = create(subject, folder, {:interval, 100})
      for object <- Data.objects(:integer, :flat, size, :random), do: insert(table, object)
      close(table)
      microseconds = time(1, fn -> reopen(subject, folder, size) end) / 1_000
      microseconds
    end)
  end

  # The subjects in turn, each with a new folder.
  defp rows(name, unit, size, progress, measure) do
    rounds =
      for round <- 1..3, subject <- [:blanket, :dets, :mnesia] do
        progress.("round #{round}, #{subject}")
        folder = Path.join(System.tmp_dir!(), "blanket-bench-#{System.pid()}")
        File.rm_rf!(folder)
        File.mkdir_p!(folder)
        figure = measure.(subject, folder)
        close_all(subject, folder)
        File.rm_rf!(folder)
        {subject, figure}
      end

    figure = fn subject -> Statistics.of(for {^subject, figure} <- rounds, do: figure) end

    for {rival, subject} <- [{"DETS", :dets}, {"Mnesia", :mnesia}] do
      %Row{
        group: @group,
        size: size,
        name: "#{name}, and #{rival}",
        unit: unit,
        goal: goal(name, rival),
        figures: [{"Blanket", figure.(:blanket)}, {rival, figure.(subject)}]
      }
    end
  end

  defp goal("open", _rival), do: {:ratio, 1.0}
  defp goal(_name, rival), do: @goals |> List.keyfind(rival, 0) |> elem(1)

  # In nanoseconds, for one.
  defp time(calls, fun) do
    :erlang.garbage_collect()
    start = System.monotonic_time()
    fun.()
    System.convert_time_unit(System.monotonic_time() - start, :native, :nanosecond) / calls
  end

  ## The subjects

  defp create(:blanket, folder, sync) do
    path = Path.join(folder, "table")
    {:blanket, Table.new(:bench, [:public, {:durable, path, sync: sync}])}
  end

  defp create(:dets, folder, _sync) do
    {:ok, table} = :dets.open_file(:bench, file: String.to_charlist(Path.join(folder, "table")))
    {:dets, table}
  end

  defp create(:mnesia, folder, _sync) do
    Application.load(:mnesia)
    Application.put_env(:mnesia, :schema_location, :disc)
    Application.put_env(:mnesia, :dir, String.to_charlist(folder))
    :ok = :mnesia.create_schema([node()])
    :ok = :mnesia.start()

    {:atomic, :ok} =
      :mnesia.create_table(:bench, disc_copies: [node()], attributes: [:key, :value])

    {:mnesia, :bench}
  end

  defp insert({:blanket, table}, object), do: Table.insert(table, object)
  defp insert({:dets, table}, object), do: :dets.insert(table, object)
  defp insert({:mnesia, table}, {key, value}), do: :mnesia.dirty_write({table, key, value})

  defp sync({:blanket, table}), do: :ok = Table.flush(table)
  defp sync({:dets, table}), do: :ok = :dets.sync(table)
  defp sync({:mnesia, _table}), do: :ok = :mnesia.sync_log()

  # The option says it of Blanket.
  defp insert_synced({:blanket, _} = table, object), do: insert(table, object)

  defp insert_synced(table, object) do
    insert(table, object)
    sync(table)
  end

  defp close({:blanket, table}), do: Table.delete(table)
  defp close({:dets, table}), do: :dets.close(table)
  defp close({:mnesia, _table}), do: :stopped = :mnesia.stop()

  defp reopen(:blanket, folder, size) do
    {:blanket, table} = create(:blanket, folder, {:interval, 100})
    ^size = Table.info(table, :size)
  end

  defp reopen(:dets, folder, size) do
    {:dets, table} = create(:dets, folder, nil)
    loaded = :ets.new(:loaded, [])
    ^loaded = :dets.to_ets(table, loaded)
    ^size = :ets.info(loaded, :size)
  end

  defp reopen(:mnesia, _folder, size) do
    :ok = :mnesia.start()
    :ok = :mnesia.wait_for_tables([:bench], :infinity)
    ^size = :mnesia.table_info(:bench, :size)
  end

  defp close_all(:blanket, folder) do
    path = Path.join(folder, "table")

    for table <- Table.all(),
        match?(%{path: ^path}, Table.info(table, :durable)),
        do: Table.delete(table)
  end

  defp close_all(:dets, _folder), do: :dets.close(:bench)

  defp close_all(:mnesia, _folder) do
    :stopped = :mnesia.stop()
    :ok = :mnesia.delete_schema([node()])
    Application.delete_env(:mnesia, :dir)
    Application.delete_env(:mnesia, :schema_location)
  end
end

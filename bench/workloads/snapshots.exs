defmodule Bench.Workloads.Snapshots do
  @moduledoc "What a snapshot costs, compared with the same work without one."

  alias Bench.{Data, Row, Shape, Statistics}
  alias Bench.Loops.Blanket, as: Loops
  alias Blanket.Table

  def all(settings) do
    for type <- [:set, :ordered_set],
        size <- Enum.uniq(settings.sizes ++ List.wrap(settings.scale)) do
      {"snapshots of a #{type}", size, "all", &measure(type, size, settings, &1)}
    end
  end

  defp measure(type, size, settings, progress) do
    progress.("preparing")
    t = Shape.full(type, :integer, :flat, size).(Loops, [:public])
    changes = Data.other_objects(:integer, size, Data.sample_size(size, settings.calls))
    {least, _most} = settings.rounds
    rounds = for n <- 1..least, do: round(t, changes, size, fn -> progress.("round #{n}") end)
    Loops.drop(t)

    for {name, unit, parts} <- rows() do
      %Row{
        group: "snapshots of a #{type}",
        size: size,
        name: name,
        unit: unit,
        figures:
          for({label, key} <- parts, do: {label, Statistics.of(Enum.map(rounds, & &1[key]))})
      }
    end
  end

  defp rows do
    [
      {"snapshot and release", "ns", [{"Blanket", :taken}, {"a list of all", :listed}]},
      {"insert over, at first after a snapshot", "ns", [{"Blanket", :freezing}, {"none", :free}]},
      {"insert over, once more", "ns", [{"Blanket", :frozen}, {"none", :free}]},
      {"tab2list of a snapshot", "ns", [{"Blanket", :scanned}, {"the table", :scanned_live}]},
      {"tab2list of one that was changed since", "ns",
       [{"Blanket", :scanned_frozen}, {"the table", :scanned_live}]}
    ]
  end

  # In nanoseconds, for one object where there are many.
  defp round(t, changes, size, progress) do
    progress.()
    count = length(changes)
    insert = fn -> Loops.insert(t, changes) end
    list = fn table -> in_process(fn -> time(fn -> Table.tab2list(table) end) end) end

    taken =
      time(fn -> for _ <- 1..1000, do: t |> Table.snapshot() |> elem(1) |> Table.release() end)

    free = time(insert)
    listed = list.(t)
    {:ok, snapshot} = Table.snapshot(t)
    scanned = list.(snapshot)
    [freezing, frozen] = for _ <- 1..2, do: time(insert)
    scanned_frozen = list.(snapshot)
    Table.release(snapshot)
    Bench.Quiet.await()

    %{
      taken: taken / 1000,
      listed: listed,
      free: free / count,
      freezing: freezing / count,
      frozen: frozen / count,
      scanned: scanned / size,
      scanned_live: listed / size,
      scanned_frozen: scanned_frozen / size
    }
  end

  # With a heap that need not grow.
  defp in_process(fun) do
    parent = self()
    heap = 60_000_000

    pid =
      :erlang.spawn_opt(fn -> send(parent, {self(), fun.()}) end, [:link, min_heap_size: heap])

    receive do: ({^pid, answer} -> answer)
  end

  defp time(fun) do
    start = System.monotonic_time()
    fun.()
    System.convert_time_unit(System.monotonic_time() - start, :native, :nanosecond)
  end
end

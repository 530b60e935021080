defmodule Chaos.Reader do
  # Reads a lane while it may be written, and compares what it has read when nothing was.

  alias Chaos.{Findings, Gate, Junk, Ledger, Model, Owner, Reading, Tally, Writer}

  def child_spec({table, seed}) do
    %{id: {:reader, table.id}, start: {__MODULE__, :start_link, [table, seed]}}
  end

  def start_link(table, seed), do: {:ok, spawn_link(fn -> init(table, seed) end)}

  defp init(table, seed) do
    :rand.seed(:exsss, {seed, table.id, System.unique_integer()})
    loop(table)
  end

  defp loop(table) do
    Gate.pass()
    Junk.flush()
    Process.sleep(:rand.uniform(500))
    lane = Enum.random(table.lanes)

    means =
      case Reading.random_means() do
        :lookup -> {:lookup, :rand.uniform(table.keys)}
        means -> means
      end

    with {_version, contents, nil} = before <- Ledger.lane(lane),
         {:ok, objects} <- read(table, lane, means),
         ^before <- Ledger.lane(lane) do
      Tally.add(:reads)
      check(table, lane, means, contents, Model.read(table, objects))
    end

    loop(table)
  end

  defp check(table, lane, {:lookup, key} = means, contents, found),
    do: compare(table, lane, means, Map.take(contents, [key]), found)

  defp check(table, lane, means, contents, found),
    do: compare(table, lane, means, contents, found)

  defp compare(_table, _lane, _means, contents, {:ok, contents}), do: :ok

  defp compare(table, lane, means, contents, {:ok, found}) do
    differs = Writer.difference(contents, found)
    Findings.add("read", %{table: table, lane: lane, means: means, differs: differs})
  end

  defp compare(table, _lane, means, _contents, damaged),
    do: Findings.add("damaged", {table, means, damaged})

  defp read(table, lane, means) do
    reference = Ledger.reference(table)

    if table.protection == :private or reference == nil,
      do: Owner.call(table.owner, {:read, table.id, lane, means}),
      else: read_directly(reference, table, lane, means)
  end

  defp read_directly(reference, table, lane, means) do
    {:ok, Reading.run(means, reference, table, lane)}
  rescue
    error in ArgumentError ->
      unless table.mortal?, do: Findings.add("failed", {table, means, error})
      :failed
  end
end

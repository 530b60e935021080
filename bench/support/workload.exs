defmodule Bench.Workload do
  @moduledoc """
  The same work for several subjects, of which `:ets` and `Blanket.Table` are two.

    * `group`, `size` – the type of the tables as a rule, and how many objects they have
    * `data` – makes keys or objects before any clock runs, see `Bench.Data.cached/2`
    * `setup` – makes a table: `fn loops, options -> table end`
    * `run` – what is timed: `fn loops, table, data -> result end`
    * `calls` – how many calls, or objects, a run is: times are shown for one
    * `times` – how often it runs in a round, because a single time would be over too soon for the clock
    * `once` – whether a table serves all rounds; otherwise each run has a new one
    * `digest` – of a result: it must be the same for all subjects
    * `contents` – whether the tables must hold the same afterwards
    * `heap` – in words, for the process that runs it: enough for what is alive at the same time
    * `ets` – the options of `:ets` that may suit it best, see `options/1`
    * `goal` – of the ratio to the best of those; `others` – to the rest
    * `rounds` – at least, where each takes long
    * `note` – what the reader of the figures has to know
  """

  @enforce_keys [:name, :calls, :setup, :run]
  defstruct [
    :group,
    :size,
    :name,
    :calls,
    :setup,
    :run,
    :goal,
    :others,
    :rounds,
    :note,
    times: 1,
    data: &__MODULE__.no_data/0,
    once: false,
    digest: &Function.identity/1,
    contents: true,
    heap: 100_000,
    ets: [:plain]
  ]

  @doc "Blanket.Table, then :ets with each of the options."
  def subjects(workload) do
    [{"Blanket", Bench.Loops.Blanket, []}] ++
      for(name <- workload.ets, do: {label(name), Bench.Loops.Ets, options(name)})
  end

  defp options(:plain), do: []
  defp options(:read), do: [read_concurrency: true]
  defp options(:write), do: [write_concurrency: true]
  defp options(:both), do: [read_concurrency: true, write_concurrency: true]
  defp options(:auto), do: [read_concurrency: true, write_concurrency: :auto]

  defp label(:plain), do: "ETS"
  defp label(:read), do: "ETS, read_concurrency"
  defp label(:write), do: "ETS, write_concurrency"
  defp label(:both), do: "ETS, read_concurrency, write_concurrency"
  defp label(:auto), do: "ETS, read_concurrency, write_concurrency: :auto"

  @doc false
  def no_data, do: nil
end

# The same work on :ets and on Blanket.Table: run by bin/bench, which says how.

support = ~w(data loops statistics machine quiet workload shape row runner)

workloads =
  ~w(reads writes whole searches bags together scale tables memory snapshots transactions mnesia durable handover floor)

report = ~w(figures terminal json svg)

for {directory, names} <- [support: support, workloads: workloads, report: report],
    name <- names do
  Code.require_file("#{directory}/#{name}.exs", __DIR__)
end

defmodule Bench do
  alias Bench.Report.{JSON, SVG, Terminal}
  alias Bench.{Data, Machine, Runner, Shape, Workload}

  @full %{
    sizes: [10_000, 1_000_000],
    scale: 10_000_000,
    calls: 200_000,
    # At least and at most as many, and microseconds for all of a workload's.
    rounds: {5, 21},
    time: 1_500_000,
    one_key: 100_000,
    tables: 100_000,
    memory: 1_000_000,
    memory_of_maps: 400_000,
    memory_rounds: 2,
    kills: 500
  }

  @quick %{
    sizes: [10_000, 100_000],
    scale: nil,
    calls: 80_000,
    rounds: {3, 9},
    time: 300_000,
    one_key: 10_000,
    tables: 10_000,
    memory: 400_000,
    memory_of_maps: 100_000,
    memory_rounds: 1,
    kills: 110
  }

  @workloads [
    Bench.Workloads.Reads,
    Bench.Workloads.Writes,
    Bench.Workloads.Whole,
    Bench.Workloads.Searches,
    Bench.Workloads.Bags,
    Bench.Workloads.Together,
    Bench.Workloads.Scale,
    Bench.Workloads.Tables,
    Bench.Workloads.Memory,
    Bench.Workloads.Snapshots,
    Bench.Workloads.Transactions,
    Bench.Workloads.Mnesia,
    Bench.Workloads.Durable,
    Bench.Workloads.Handover,
    Bench.Workloads.Floor
  ]

  def main(arguments) do
    {options, names} = options(arguments)
    # Owners that are killed are no news here.
    Logger.configure(level: :none)

    case wanted(if(options[:quick], do: @quick, else: @full), names) do
      [] -> fail("no workload has #{Enum.join(names, " or ")} in its name; --list shows all")
      wanted -> if options[:list], do: list(wanted), else: measure(wanted, options)
    end
  end

  defp options(arguments) do
    switches = [quick: :boolean, list: :boolean, json: :string, svg: :string]

    case OptionParser.parse(arguments, strict: switches) do
      {options, names, []} ->
        {options, names}

      {_, _, [{option, _} | _]} ->
        fail("#{option} is not an option, or lacks its value: see --help")
    end
  end

  # Each as {heading, name, how to measure it}, those of a group together.
  defp wanted(settings, names) do
    all =
      for module <- @workloads, workload <- module.all(settings) do
        case workload do
          %Workload{group: group, size: size, name: name} ->
            {Shape.heading(group, size), name, &[Runner.run(workload, settings, &1)]}

          {group, size, name, measure} ->
            {Shape.heading(group, size), name, &List.wrap(measure.(&1))}
        end
      end

    headings = all |> Enum.map(&elem(&1, 0)) |> Enum.uniq()

    for heading <- headings,
        {^heading, name, _} = workload <- all,
        names == [] or Enum.any?(names, &named?("#{heading}: #{name}", &1)) do
      workload
    end
  end

  defp named?(workload, part), do: String.downcase(workload) =~ String.downcase(part)

  defp list(wanted), do: for({group, name, _} <- wanted, do: IO.puts("#{group}: #{name}"))

  defp measure(wanted, options) do
    machine = Machine.describe()
    Terminal.machine(machine)

    rows =
      wanted
      |> Enum.chunk_by(fn {heading, _name, _measure} -> heading end)
      |> Enum.flat_map(&group/1)

    measured = for {:ok, rows} <- rows, row <- rows, do: row
    if options[:json], do: File.write!(options[:json], JSON.document(machine, measured))
    if options[:svg], do: File.write!(options[:svg], SVG.document(machine, measured))
    if Enum.any?(rows, &(&1 == :failed)), do: fail("not all could be measured")
  end

  defp group([{heading, _, _} | _] = workloads) do
    Terminal.heading(heading)
    rows = for {_heading, name, measure} <- workloads, do: one(name, measure)
    Data.forget()
    rows
  end

  # In a process of its own: those that it started end with it.
  defp one(name, measure) do
    {pid, monitor} =
      spawn_monitor(fn -> exit({:measured, measure.(&Terminal.progress(name, &1))}) end)

    receive do
      {:DOWN, ^monitor, :process, ^pid, {:measured, rows}} ->
        Enum.each(rows, &Terminal.row/1)
        {:ok, rows}

      {:DOWN, ^monitor, :process, ^pid, reason} ->
        Terminal.failed(name, Exception.format_exit(reason))
        :failed
    end
  end

  defp fail(message) do
    IO.puts(:stderr, "bench: #{message}")
    System.halt(1)
  end
end

Bench.main(System.argv())

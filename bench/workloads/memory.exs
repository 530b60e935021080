defmodule Bench.Workloads.Memory do
  @moduledoc """
  Bytes for an object, each measured in operating-system processes of its own by
  `bench/child/memory.exs`.

  One process has a quarter of the objects of the other: the difference is what objects take, whatever
  else is in the memory of either. What is compared is what the operating system gave; the note tells how
  `info(table, :memory)` differs.
  """

  alias Bench.{Row, Statistics}

  @sides [{"Blanket", "Blanket.Table"}, {"ETS", "ETS"}]

  def all(settings) do
    if File.exists?("/proc/self/status"), do: tables(settings) ++ [empty(settings)], else: []
  end

  defp tables(settings) do
    for type <- [:set, :ordered_set],
        {shape, of, size} <- [
          {"small", "{int, int}", settings.memory},
          {"map", "{binary, map}", settings.memory_of_maps}
        ] do
      loaded = "#{type} of #{of}"
      churned = "#{loaded}, after changes"
      names = [{loaded, 0.85}, {churned, 1.0}]
      name = "#{loaded}; after changes"
      {"memory", size, name, &measure(settings, size, names, type, shape, size, &1)}
    end
  end

  defp empty(settings) do
    name = "an empty table"
    count = 20_000

    {"memory", nil, name, &measure(settings, nil, [{name, 0.5}], :set, "empty", count, &1)}
  end

  defp measure(settings, size, names, type, shape, count, progress) do
    rounds = settings.memory_rounds

    measured =
      for round <- 1..rounds, {side, module} <- @sides do
        progress.("round #{round} of #{rounds}")
        less = div(count, 4)
        with_less = child([module, type, shape, less])
        with_all = child([module, type, shape, count])
        {side, Enum.zip_with(with_all, with_less, &taken(&1, &2, count - less))}
      end

    for {{name, goal}, place} <- Enum.with_index(names) do
      figures =
        for {side, _module} <- @sides do
          bytes = for {^side, pairs} <- measured, do: Enum.at(pairs, place)

          {side, Statistics.of(for {_info, given} <- bytes, do: given),
           Enum.map(bytes, &elem(&1, 0))}
        end

      %Row{
        group: "memory",
        size: size,
        name: name,
        unit: "bytes",
        figures: for({side, given, _info} <- figures, do: {side, given}),
        goal: {:ratio, goal},
        note: "info(memory): " <> Enum.map_join(figures, ", ", &note/1)
      }
    end
  end

  defp note({side, given, infos}) do
    info = Statistics.of(infos).median
    off = Float.round(100 * (info / given.median - 1), 1)
    "#{side} #{Float.round(info, 1)} (#{if off > 0, do: "+"}#{off} %)"
  end

  defp taken({info, given}, {info_of_less, given_to_less}, count),
    do: {(info - info_of_less) / count, (given - given_to_less) / count}

  # With one scheduler, and with as little as can be but the table in its memory.
  defp child(arguments) do
    paths = [
      compiled() | Enum.map([:blanket, :elixir, :logger], &Application.app_dir(&1, "ebin"))
    ]

    options = ~w(-noshell +S 1:1 -pa) ++ paths ++ ["-run", "Elixir.Bench.Child.Memory", "main"]

    {output, 0} = System.cmd("erl", options ++ Enum.map(arguments, &to_string/1))

    for line <- String.split(output, "\n", trim: true) do
      [info, given] = String.split(line)
      {String.to_integer(info), String.to_integer(given)}
    end
  end

  defp compiled do
    directory = Path.join(Mix.Project.build_path(), "bench")

    sources =
      for file <- ~w(support/data child/memory), do: Path.join([__DIR__, "..", file <> ".exs"])

    File.mkdir_p!(directory)
    {_, 0} = System.cmd("elixirc", ["-o", directory | sources], stderr_to_stdout: true)
    directory
  end
end

defmodule Bench.Workloads.Searches do
  @moduledoc "Match specifications and patterns."

  alias Bench.{Data, Shape, Workload}

  # Objects whose keys begin alike.
  @alike 10

  def all(settings) do
    size = List.last(settings.sizes)
    calls = div(settings.calls, 10)

    for type <- [:set, :ordered_set],
        workload <- [rare(type, size)] ++ halves(type, size) ++ [bound(type, size, calls)] do
      %{workload | group: type, size: size}
    end ++
      for(
        workload <- [prefix(size, calls), range(size)],
        do: %{workload | group: :ordered_set, size: size}
      )
  end

  defp rare(type, size) do
    spec = [{{:"$1", :"$2"}, [{:"=<", :"$2", div(size, 1000)}], [:"$1"]}]

    %Workload{
      name: "select of 1 in 1,000 by value",
      calls: size,
      setup: Shape.full(type, :integer, :flat, size),
      run: fn loops, t, nil -> loops.select(t, spec) end,
      digest: Shape.digest(type),
      once: true,
      goal: 0.5
    }
  end

  defp halves(type, size) do
    objects = fn ->
      Data.cached({:halves, size}, fn -> for i <- Enum.shuffle(1..size), do: {i, rem(i, 2)} end)
    end

    spec = [{{:_, :"$1"}, [{:==, :"$1", 0}], [true]}]

    for {name, once, run} <- [
          {"select_count", true, fn loops, t, nil -> loops.select_count(t, spec) end},
          {"select_delete", false, fn loops, t, nil -> loops.select_delete(t, spec) end},
          {"match_delete", false, fn loops, t, nil -> loops.match_delete(t, {:_, 0}) end}
        ] do
      %Workload{
        name: "#{name} of half the table",
        calls: size,
        setup: Shape.full(type, objects),
        run: run,
        once: once,
        goal: 0.6
      }
    end
  end

  defp bound(type, size, calls) do
    specs = fn -> for k <- Data.sample(:integer, size, calls), do: [{{k, :"$1"}, [], [:"$1"]}] end

    %Workload{
      name: "select on a bound key",
      data: fn -> Data.cached({:bound, size}, specs) end,
      calls: Data.sample_size(size, calls),
      setup: Shape.full(type, :integer, :flat, size),
      run: & &1.count_selected(&2, &3),
      once: true,
      goal: 1.0
    }
  end

  defp prefix(size, calls) do
    users = div(size, @alike)

    objects = fn ->
      for i <- Enum.shuffle(1..size), do: {{:user, rem(i, users), div(i, users)}, i}
    end

    specs = fn ->
      for user <- Data.sample(:integer, users - 1, calls),
          do: [{{{:user, user, :_}, :"$1"}, [], [:"$1"]}]
    end

    %Workload{
      name: "select of #{@alike} by the key's first elements",
      data: fn -> Data.cached({:prefixes, size}, specs) end,
      calls: Data.sample_size(users - 1, calls),
      setup: Shape.full(:ordered_set, fn -> Data.cached({:prefixed, size}, objects) end),
      run: & &1.count_selected(&2, &3),
      once: true,
      goal: 0.5
    }
  end

  defp range(size) do
    specs =
      for from <- [div(size, 3), div(size, 2)] do
        [{{:"$1", :"$2"}, [{:>=, :"$1", from}, {:<, :"$1", from + 100}], [:"$2"]}]
      end

    %Workload{
      name: "select of 100 by a range of keys",
      calls: length(specs),
      setup: Shape.full(:ordered_set, :integer, :flat, size),
      run: fn loops, t, nil -> loops.count_selected(t, specs) end,
      once: true,
      goal: 0.05
    }
  end
end

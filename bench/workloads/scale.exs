defmodule Bench.Workloads.Scale do
  @moduledoc "Tables of ten million objects."

  alias Bench.{Data, Shape, Workload}

  def all(%{scale: nil}), do: []

  def all(%{scale: size, calls: calls}) do
    for type <- [:set, :ordered_set],
        workload <- [
          %Workload{
            name: "lookup, integer keys",
            data: fn -> Data.sample(:integer, size, calls) end,
            calls: calls,
            setup: Shape.full(type, :integer, :flat, size),
            run: & &1.lookup(&2, &3),
            contents: false,
            once: true
          },
          %Workload{
            name: "insert new, integer keys, random",
            data: fn -> Data.objects(:integer, :flat, size, :random) end,
            calls: size,
            setup: Shape.empty(type),
            run: & &1.insert(&2, &3),
            contents: false,
            rounds: 3
          }
        ] do
      %{workload | group: type, size: size}
    end
  end
end

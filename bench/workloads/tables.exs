defmodule Bench.Workloads.Tables do
  @moduledoc "Many small tables, all there at the same time: the time over their number."

  alias Bench.{Data, Shape, Workload}

  def all(%{tables: count}) do
    for size <- [0, 10] do
      %Workload{
        group: "tables",
        name: "#{Shape.count(count)} tables of #{size}, created and deleted",
        data: fn -> if size > 0, do: Data.objects(:integer, :flat, size, :ascending), else: [] end,
        calls: count,
        setup: fn _loops, _options -> nil end,
        run: fn loops, nil, objects -> loops.tables([:set], count, objects) end,
        contents: false,
        note: "Blanket gives the memory back afterwards, in the background.",
        heap: 20 * count,
        goal: 1.0
      }
    end
  end
end

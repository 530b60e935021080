defmodule Bench.Workloads.Reads do
  @moduledoc "Look-ups of single keys."

  alias Bench.{Data, Shape, Workload}

  @kinds [:integer, :binary, :tuple]

  def all(settings) do
    for type <- [:set, :ordered_set], size <- settings.sizes, read <- reads(type, size) do
      keys = Data.sample_size(size, settings.calls)

      %Workload{
        group: type,
        size: size,
        name: "#{read.name}, #{read.kind} keys",
        data: fn -> data(read, size, settings.calls) end,
        calls: keys,
        times: Shape.times(keys, settings.calls),
        setup: Shape.full(type, read.kind, read.shape, size),
        run: read.run,
        once: true,
        ets: [:plain, :read, :both],
        goal: read[:goal],
        others: read[:others]
      }
    end
  end

  defp reads(type, size) do
    flat =
      for kind <- @kinds,
          {name, run} <- calls(type) do
        Map.merge(%{kind: kind, shape: :flat, name: name, run: run}, goal(type, size))
      end

    maps =
      for kind <- [:integer, :binary] do
        goal = if type == :set, do: 1.05
        run = & &1.lookup_fields(&2, &3)
        %{kind: kind, shape: :map, name: "lookup of a map", run: run, goal: goal}
      end

    missing = %{
      data: &absent(size, &1),
      kind: :integer,
      shape: :flat,
      name: "lookup of nothing",
      run: & &1.missing(&2, &3)
    }

    flat ++ maps ++ [missing]
  end

  defp data(%{data: data}, _size, wanted), do: data.(wanted)
  defp data(%{kind: kind}, size, wanted), do: Data.sample(kind, size, wanted)

  defp absent(size, wanted) do
    absent = fn -> for k <- Data.sample(:integer, size, wanted), do: -k end
    Data.cached({:absent, size, wanted}, absent)
  end

  defp calls(:ordered_set), do: [{"lookup", & &1.lookup(&2, &3)}]

  defp calls(:set) do
    [
      {"member", & &1.member(&2, &3)},
      {"lookup", & &1.lookup(&2, &3)},
      {"lookup_element", & &1.lookup_element(&2, &3)}
    ]
  end

  defp goal(:set, _size), do: %{goal: 0.95, others: 0.5}
  defp goal(:ordered_set, size), do: %{goal: if(size > 10_000, do: 0.5, else: 0.9)}
end

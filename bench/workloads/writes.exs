defmodule Bench.Workloads.Writes do
  @moduledoc "Changes of single objects."

  alias Bench.{Data, Shape, Workload}

  @kinds [:integer, :binary, :tuple]

  def all(settings) do
    for type <- [:set, :ordered_set],
        size <- settings.sizes,
        write <- writes(type, size, settings) do
      %{write | group: type, size: size, ets: [:plain, :write]}
    end
  end

  defp writes(type, size, settings) do
    for(kind <- @kinds, do: again(type, kind, size, settings)) ++
      for(kind <- @kinds, do: new(type, kind, :flat, size, :random)) ++
      [
        new(type, :integer, :flat, size, :ascending),
        new(type, :binary, :map, size, :random),
        counter(type, size, settings),
        one_counter(type, size, settings),
        delete(type, size)
      ]
  end

  defp again(type, kind, size, settings) do
    objects = Data.sample_size(size, settings.calls)

    %Workload{
      name: "insert again, #{kind} keys",
      data: fn -> Data.other_objects(kind, size, settings.calls) end,
      calls: objects,
      times: Shape.times(objects, settings.calls),
      setup: Shape.full(type, kind, :flat, size),
      run: & &1.insert(&2, &3),
      once: true,
      goal: if(type == :set, do: 1.0)
    }
  end

  defp new(type, kind, shape, size, order) do
    %Workload{
      name: "insert new#{if shape == :map, do: " map"}, #{kind} keys, #{order}",
      data: fn -> Data.objects(kind, shape, size, order) end,
      calls: size,
      times: Shape.times(size, 100_000),
      setup: Shape.empty(type),
      run: & &1.insert(&2, &3),
      goal: insert_goal(type, size, shape)
    }
  end

  defp insert_goal(_type, _size, :map), do: nil
  defp insert_goal(:set, _size, _shape), do: 1.0
  defp insert_goal(:ordered_set, size, _shape), do: if(size > 10_000, do: 0.6, else: 0.9)

  defp counter(type, size, settings) do
    keys = Data.sample_size(size, settings.calls)

    %Workload{
      name: "update_counter",
      data: fn -> Data.sample(:integer, size, settings.calls) end,
      calls: keys,
      times: Shape.times(keys, settings.calls),
      setup: Shape.full(type, :integer, :flat, size),
      run: & &1.update_counter(&2, &3),
      once: true,
      goal: if(type == :set, do: 1.0)
    }
  end

  defp one_counter(type, size, settings) do
    %Workload{
      name: "update_counter of one key",
      data: fn -> Data.cached(:one_key, fn -> List.duplicate(1, 10_000) end) end,
      calls: 10_000,
      times: Shape.times(10_000, settings.calls),
      setup: Shape.full(type, :integer, :flat, size),
      run: & &1.update_counter(&2, &3),
      once: true
    }
  end

  defp delete(type, size) do
    %Workload{
      name: "delete of every object",
      data: fn -> Data.keys(:integer, size, :random) end,
      calls: size,
      times: Shape.times(size, 100_000),
      setup: Shape.full(type, :integer, :flat, size),
      run: & &1.delete(&2, &3),
      goal: 1.0
    }
  end
end

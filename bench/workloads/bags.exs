defmodule Bench.Workloads.Bags do
  @moduledoc "Several objects under one key."

  alias Bench.{Data, Shape, Workload}

  @size 100_000
  @a_key 10

  def all(settings) do
    [under_one_key(settings.one_key)] ++
      for type <- [:bag, :duplicate_bag], workload <- several(type) do
        %{workload | group: type, size: @size}
      end
  end

  defp several(type) do
    keys = div(@size, @a_key)

    objects = fn ->
      Data.cached(:several, fn -> for i <- Enum.shuffle(1..@size), do: {rem(i, keys) + 1, i} end)
    end

    goal = if type == :duplicate_bag, do: 1.0

    [
      %Workload{
        name: "insert, #{@a_key} objects a key",
        data: objects,
        calls: @size,
        setup: Shape.empty(type),
        run: & &1.insert(&2, &3),
        ets: [:plain, :write],
        goal: goal
      },
      %Workload{
        name: "lookup, #{@a_key} objects a key",
        data: fn -> Data.keys(:integer, keys, :random) end,
        calls: keys,
        times: Shape.times(keys, @size),
        setup: Shape.full(type, objects),
        run: & &1.lookup_several(&2, &3),
        once: true,
        ets: [:plain, :read],
        goal: goal
      }
    ]
  end

  # :ets compares each with all that are there.
  defp under_one_key(count) do
    objects = fn -> for i <- 1..count, do: {:key, i} end

    %Workload{
      group: :bag,
      size: count,
      name: "insert of all under one key",
      data: fn -> Data.cached({:under_one_key, count}, objects) end,
      calls: count,
      setup: Shape.empty(:bag),
      run: & &1.insert(&2, &3),
      rounds: 3,
      goal: 0.01
    }
  end
end

defmodule Bench.Workloads.Whole do
  @moduledoc "Calls with many objects at once, and walks over all."

  alias Bench.{Data, Shape, Workload}

  def all(settings) do
    for type <- [:set, :ordered_set],
        size <- settings.sizes,
        workload <- inserts(type, size) ++ [clear(type, size)] ++ reads(type, size) do
      %{
        workload
        | group: type,
          size: size,
          calls: size,
          times: Shape.times(size, 100_000)
      }
    end
  end

  defp inserts(type, size) do
    for order <- [:random, :ascending],
        {what, data, run} <- [
          {"lists of 1,000", fn -> Data.lists(:integer, size, order) end,
           & &1.insert_lists(&2, &3)},
          {"one list of all", fn -> Data.objects(:integer, :flat, size, order) end,
           & &1.insert_list(&2, &3)}
        ] do
      %Workload{
        name: "insert of #{what}, #{order}",
        data: data,
        calls: size,
        setup: Shape.empty(type),
        run: run,
        goal: 0.6
      }
    end
  end

  defp clear(type, size) do
    %Workload{
      name: "delete_all_objects",
      calls: size,
      setup: Shape.full(type, :integer, :flat, size),
      run: fn loops, t, nil -> loops.delete_all_objects(t) end,
      note: "Blanket gives the memory back afterwards, in the background.",
      goal: 0.2
    }
  end

  defp reads(type, size) do
    walk_goal = if type == :ordered_set and size > 10_000, do: 0.5

    for {name, goal, digest, run} <- [
          {"tab2list", 0.5, Shape.digest(type), fn loops, t, nil -> loops.tab2list(t) end},
          {"foldl", 0.5, & &1, fn loops, t, nil -> loops.foldl(t) end},
          {"walk by next", walk_goal, & &1, fn loops, t, nil -> loops.walk(t) end},
          {"walk with objects", walk_goal, & &1, fn loops, t, nil -> loops.walk_lookup(t) end}
        ] do
      %Workload{
        name: name,
        calls: size,
        setup: Shape.full(type, :integer, :flat, size),
        run: run,
        digest: digest,
        once: true,
        heap: if(name == "tab2list", do: 6 * max(size, 100_000), else: 0) + 100_000,
        goal: goal
      }
    end
  end
end

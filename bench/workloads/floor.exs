defmodule Bench.Floor do
  @moduledoc "Native functions that know no table: what is left when the engine's part is taken away."

  # Where bin/bench puts the library.
  @on_load :load
  def load, do: :erlang.load_nif(System.fetch_env!("BLANKET_FLOOR"), 0)

  def hold(_object, _object_with_map), do: :erlang.nif_error(:nif_not_loaded)
  def empty(_t, _key), do: :erlang.nif_error(:nif_not_loaded)
  def copy_flat(_t, _key), do: :erlang.nif_error(:nif_not_loaded)
  def copy_map(_t, _key), do: :erlang.nif_error(:nif_not_loaded)
end

defmodule Bench.Floor.Loops do
  @moduledoc false
  import Bench.Loop

  def new(_options), do: Bench.Floor.hold(Bench.Data.object(:integer, :flat, 1), map())
  def drop(_t), do: true
  defp map, do: Bench.Data.object(:binary, :map, 1)

  each :nothing, t, key do
    _ = t
    key
  end

  each :empty, t, key do
    ^t = Bench.Floor.empty(t, key)
    1
  end

  each :copy_flat, t, key do
    [{_, value}] = Bench.Floor.copy_flat(t, key)
    value
  end

  each :copy_map, t, key do
    [{_, fields}] = Bench.Floor.copy_map(t, key)
    map_size(fields)
  end
end

defmodule Bench.Workloads.Floor do
  @moduledoc "What the loops and the boundary to native code cost."

  alias Bench.{Data, Runner, Shape, Workload}

  def all(settings) do
    keys = Data.sample_size(10_000, settings.calls)

    for {name, run} <- [
          {"a loop without a call", & &1.nothing(&2, &3)},
          {"a native function that does nothing", & &1.empty(&2, &3)},
          {"one that copies {int, int} out, in a list", & &1.copy_flat(&2, &3)},
          {"one that copies {binary, map of ten} out", & &1.copy_map(&2, &3)}
        ] do
      workload = %Workload{
        group: "the floor",
        name: name,
        data: fn -> Data.sample(:integer, 10_000, settings.calls) end,
        calls: keys,
        times: Shape.times(keys, settings.calls),
        setup: fn loops, options -> loops.new(options) end,
        run: run,
        once: true,
        contents: false
      }

      subjects = [{"floor", Bench.Floor.Loops, []}]
      {workload.group, nil, name, &Runner.run(workload, subjects, settings, &1)}
    end
  end
end

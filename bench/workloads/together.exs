defmodule Bench.Workloads.Together do
  @moduledoc "Two processes on one table, each on a scheduler of its own: the time over the calls of both."

  alias Bench.{Data, Shape, Workload}

  @ets %{set: [:plain, :read, :write, :both, :auto], ordered_set: [:plain, :read, :write, :both]}

  def all(settings) do
    for type <- [:set, :ordered_set],
        size <- settings.sizes,
        workload <- workloads(type, size, settings.calls) do
      %{workload | group: "two processes, #{type}", size: size, ets: @ets[type]}
    end
  end

  defp workloads(type, size, calls) do
    half = Data.sample_size(div(size, 2), div(calls, 2))

    often = %Workload{
      name: nil,
      calls: 2 * half,
      times: Shape.times(2 * half, calls),
      setup: Shape.full(type, :integer, :flat, size),
      run: nil,
      once: true
    }

    [
      %{
        often
        | name: "95 % lookup, 5 % insert again",
          data: fn -> pair({:any, size, calls}, fn _ -> any(size, half) end) end,
          run: fn loops, t, pair -> both(pair, &loops.mixed(t, &1)) end,
          # What a look-up finds depends on what the other process did before.
          digest: fn _sum -> nil end,
          goal: 0.6
      },
      %{
        often
        | name: "update_counter, keys of their own",
          data: fn ->
            pair(
              {:keys, size, calls},
              &own(&1, Data.sample(:integer, div(size, 2), div(calls, 2)))
            )
          end,
          run: fn loops, t, pair -> both(pair, &loops.update_counter(t, &1)) end,
          goal: if(type == :set, do: 0.6)
      },
      %Workload{
        name: "insert new, random",
        data: fn ->
          pair({:new, size}, fn half ->
            for k <- own(half, Data.keys(:integer, div(size, 2), :random)), do: {k, k}
          end)
        end,
        calls: size,
        times: Shape.times(size, 100_000),
        setup: Shape.empty(type),
        run: fn loops, t, pair -> both(pair, &loops.insert(t, &1)) end
      }
    ]
  end

  defp pair(what, make) do
    for half <- [0, 1], do: Data.cached({what, half}, fn -> make.(half) end)
  end

  defp any(size, count), do: for(_ <- 1..count, k = :rand.uniform(size), do: {k, -k})

  # The even keys for one, the odd ones for the other.
  defp own(half, keys), do: for(k <- keys, do: 2 * k - half)

  defp both(pair, function) do
    parent = self()

    workers =
      for {data, half} <- Enum.with_index(pair) do
        scheduler = rem(half, System.schedulers_online()) + 1
        work = fn -> send(parent, {self(), function.(data)}) end
        :erlang.spawn_opt(work, [:link, scheduler: scheduler, min_heap_size: 100_000])
      end

    for worker <- workers, reduce: 0 do
      sum -> receive do: ({^worker, answer} -> sum + answer)
    end
  end
end

# A rough comparison with :ets. Run it by
#
#     MIX_ENV=prod mix run bench/rough.exs
#
# It prints nanoseconds a call, each the median of several rounds in which :ets and Blanket.Table take
# turns, then how long a call of either keeps the scheduler from others. With an argument, only the
# workloads whose name contains it are run.

# The loops are compiled for each of the two, so that neither is called through a variable.
for {loops, table} <- [{Rough.Ets, :ets}, {Rough.Blanket, Blanket.Table}] do
  defmodule loops do
    def table, do: unquote(table)
    def new(options), do: unquote(table).new(:rough, [:public | options])

    def insert(t, [k | ks]) do
      unquote(table).insert(t, {k, k})
      insert(t, ks)
    end

    def insert(_t, []), do: :ok

    def lookup(t, [k | ks]) do
      unquote(table).lookup(t, k)
      lookup(t, ks)
    end

    def lookup(_t, []), do: :ok

    def lookup_element(t, [k | ks]) do
      unquote(table).lookup_element(t, k, 2)
      lookup_element(t, ks)
    end

    def lookup_element(_t, []), do: :ok

    def member(t, [k | ks]) do
      unquote(table).member(t, k)
      member(t, ks)
    end

    def member(_t, []), do: :ok

    def update_counter(t, [k | ks]) do
      unquote(table).update_counter(t, k, 1)
      update_counter(t, ks)
    end

    def update_counter(_t, []), do: :ok

    def delete(t, [k | ks]) do
      unquote(table).delete(t, k)
      delete(t, ks)
    end

    def delete(_t, []), do: :ok

    def insert_under_one(t, [k | ks]) do
      unquote(table).insert(t, {:key, k})
      insert_under_one(t, ks)
    end

    def insert_under_one(_t, []), do: :ok

    def walk(t), do: walk(t, unquote(table).first(t))
    defp walk(_t, :"$end_of_table"), do: :ok
    defp walk(t, k), do: walk(t, unquote(table).next(t, k))

    def insert_list(t, objects), do: unquote(table).insert(t, objects)
    def tab2list(t), do: unquote(table).tab2list(t)
    def delete_all_objects(t), do: unquote(table).delete_all_objects(t)
    def drop(t), do: unquote(table).delete(t)
  end
end

defmodule Rough do
  @rounds 3
  @sides [Rough.Ets, Rough.Blanket]

  def main(wanted) do
    IO.puts("\nns a call                                :ets   Blanket   ratio")

    for {name, calls, make, run} <- workloads(), wanted == nil or name =~ wanted do
      times = measure(make, run)
      [ets, blanket] = for side <- @sides, do: median(times[side]) / calls
      row(name, ets, blanket)
    end
  end

  defp row(name, ets, blanket) do
    :io.format("~-36ts ~8.1f  ~8.1f  ~6.2f~n", [name, ets, blanket, blanket / ets])
  end

  # A table is filled once for calls that leave it as it is, or anew for every round.
  defp measure({:once, make}, run) do
    tables = for side <- @sides, do: {side, make.(side)}
    times = rounds(tables, run, fn _side, t -> t end, fn _side, _t -> :ok end)
    for {side, t} <- tables, do: side.drop(t)
    times
  end

  defp measure(make, run) do
    rounds(
      for(side <- @sides, do: {side, make}),
      run,
      fn side, make -> make.(side) end,
      & &1.drop(&2)
    )
  end

  defp rounds(sides, run, open, close) do
    for round <- 1..@rounds, {side, given} <- turns(sides, round), reduce: %{} do
      times ->
        t = open.(side, given)
        :erlang.garbage_collect()
        {time, _} = :timer.tc(fn -> run.(side, t) end)
        close.(side, t)
        Map.update(times, side, [time * 1000], &[time * 1000 | &1])
    end
  end

  defp turns(sides, round), do: if(rem(round, 2) == 0, do: Enum.reverse(sides), else: sides)

  defp median(times), do: times |> Enum.sort() |> Enum.at(div(length(times), 2))

  defp workloads do
    Enum.flat_map([{"10k", 10_000, 10}, {"1M", 1_000_000, 1}], fn {size, n, repeats} ->
      keys = Enum.shuffle(1..n)
      some = Enum.take(Enum.shuffle(keys), 300_000)
      again = Enum.flat_map(1..repeats, fn _ -> some end)
      calls = length(again)
      objects = for k <- keys, do: {k, k}

      empty = fn options -> & &1.new(options) end

      filled = fn options ->
        fn side ->
          t = side.new(options)
          side.insert(t, keys)
          t
        end
      end

      for type <- [:set, :ordered_set],
          full = filled.([type]),
          {name, calls, make, run} <- [
            {"insert new", n, empty.([type]), & &1.insert(&2, keys)},
            {"insert again", calls, {:once, full}, & &1.insert(&2, again)},
            {"insert a list", n, empty.([type]), & &1.insert_list(&2, objects)},
            {"lookup", calls, {:once, full}, & &1.lookup(&2, again)},
            {"lookup_element", calls, {:once, full}, & &1.lookup_element(&2, again)},
            {"member", calls, {:once, full}, & &1.member(&2, again)},
            {"update_counter", calls, {:once, full}, & &1.update_counter(&2, again)},
            {"walk by next", n, {:once, full}, fn side, t -> side.walk(t) end},
            {"tab2list", n, {:once, full}, fn side, t -> side.tab2list(t) end},
            {"delete", n, full, & &1.delete(&2, keys)}
          ] do
        {"#{type} #{size} #{name}", calls, make, run}
      end ++ together(size, n, repeats)
    end) ++ bags()
  end

  # Two processes, each on half of the keys; for :ets with the options made for it.
  defp together(size, n, repeats) do
    halves = for half <- 0..1, do: Enum.shuffle(for k <- 1..n, rem(k, 2) == half, do: k)
    again = for half <- halves, do: Enum.flat_map(1..repeats, fn _ -> half end)
    options = [:set, read_concurrency: true, write_concurrency: true]
    empty = & &1.new(options)

    filled = fn side ->
      t = side.new(options)
      for half <- halves, do: side.insert(t, half)
      t
    end

    for {name, calls, make, keys, function} <- [
          {"insert new", n, empty, halves, :insert},
          {"lookup", n * repeats, {:once, filled}, again, :lookup},
          {"update_counter", n * repeats, {:once, filled}, again, :update_counter}
        ] do
      {"2 processes set #{size} #{name}", calls, make,
       fn side, t -> both(keys, &apply(side, function, [t, &1])) end}
    end
  end

  defp both(halves, fun) do
    halves |> Enum.map(&Task.async(fn -> fun.(&1) end)) |> Task.await_many(:infinity)
  end

  defp bags do
    one_key = fn n ->
      {"bag insert #{n} under one key", n, & &1.new([:bag]),
       & &1.insert_under_one(&2, Enum.to_list(1..n))}
    end

    ten_a_key = for i <- 1..100_000, do: {div(i, 10), i}
    keys = Enum.to_list(0..9_999)

    filled = fn side ->
      t = side.new([:duplicate_bag])
      side.insert_list(t, ten_a_key)
      t
    end

    [
      one_key.(1_000),
      one_key.(10_000),
      {"duplicate_bag lookup 10 a key", 10_000, {:once, filled}, & &1.lookup(&2, keys)},
      {"duplicate_bag insert a list", 100_000, & &1.new([:duplicate_bag]),
       & &1.insert_list(&2, ten_a_key)}
    ]
  end
end

defmodule Rough.Schedulers do
  # A call that holds its scheduler is told by the VM (long_schedule, from 1 ms on), and felt by a process that
  # wants to run every millisecond. The worker's heap is so large that it collects no garbage meanwhile.
  @heap 64_000_000

  def main(n) do
    IO.puts("\n#{n} objects                              ms   longest ms   worst tick ms")

    for {name, prepare, call} <- calls(n), side <- [Rough.Ets, Rough.Blanket] do
      {time, longest, tick} = watched(side, prepare, call)

      :io.format("~-28ts ~-8ts ~9.1f  ~9ts  ~9.1f~n", [
        name,
        side |> Module.split() |> List.last(),
        time / 1000,
        if(longest == 0, do: "< 1", else: "#{longest}"),
        tick / 1000
      ])
    end
  end

  defp calls(n) do
    filled = fn options ->
      fn side ->
        t = side.new(options)
        side.insert(t, Enum.to_list(1..n))
        t
      end
    end

    empty = fn options -> & &1.new(options) end
    objects = fn -> for i <- 1..min(n, 1_000_000), do: {i, i} end

    for type <- [:set, :ordered_set],
        {name, make, call} <- [
          {"insert of a list", &{empty.([type]).(&1), objects.()},
           fn side, {t, objects} -> side.insert_list(t, objects) end},
          {"tab2list", filled.([type]), & &1.tab2list(&2)},
          {"delete_all_objects", filled.([type]), & &1.delete_all_objects(&2)},
          {"delete", filled.([type]), & &1.drop(&2)},
          {"the owner's death", filled.([type]), fn _side, _t -> :ok end}
        ] do
      {"#{type} #{name}", make, call}
    end
  end

  defp watched(side, make, call) do
    parent = self()

    {worker, monitor} =
      :erlang.spawn_opt(
        fn ->
          context = make.(side)
          send(parent, :ready)

          receive do
            :go -> call.(side, context)
          end
        end,
        [:monitor, min_heap_size: @heap, fullsweep_after: 1_000_000]
      )

    receive do
      :ready -> :ok
    end

    ticker = spawn_link(fn -> tick(parent, 0, System.monotonic_time(:microsecond)) end)
    :erlang.system_monitor(self(), [{:long_schedule, 1}])
    flush()
    start = System.monotonic_time(:microsecond)
    send(worker, :go)

    receive do
      {:DOWN, ^monitor, :process, ^worker, :normal} -> :ok
    end

    time = System.monotonic_time(:microsecond) - start
    Process.sleep(300)
    :erlang.system_monitor(:undefined)
    send(ticker, {:stop, parent})

    worst =
      receive do
        {:worst, worst} -> worst
      end

    {time, longest(worker, 0), worst}
  end

  defp tick(parent, worst, last) do
    receive do
      {:stop, parent} -> send(parent, {:worst, worst})
    after
      1 ->
        now = System.monotonic_time(:microsecond)
        tick(parent, max(worst, now - last - 1000), now)
    end
  end

  defp longest(worker, longest) do
    receive do
      {:monitor, ^worker, :long_schedule, info} -> longest(worker, max(longest, info[:timeout]))
      {:monitor, _port_or_process, :long_schedule, _info} -> longest(worker, longest)
    after
      0 -> longest
    end
  end

  defp flush do
    receive do
      {:monitor, _, _, _} -> flush()
    after
      0 -> :ok
    end
  end
end

case System.argv() do
  [] ->
    Rough.main(nil)
    Rough.Schedulers.main(1_000_000)

  ["schedulers", n] ->
    Rough.Schedulers.main(String.to_integer(n))

  [wanted] ->
    Rough.main(wanted)
end

# How long a call keeps its scheduler from all others: bin/longest [OBJECTS] [TYPE]..., 10 million
# by default, and sets, ordered sets, bags and transactions.
#
# The VM runs one scheduler, and on it the worker that makes the calls and a process that does nothing but
# note when it runs. As these two take turns, the time between two of its turns is what the worker
# held the scheduler for. From what seems too long, the time is taken that Linux let other programs
# run in place of the scheduler's thread. The worst is shown, how often it was more than 1 ms, and the
# worst of which the VM itself tells, whatever it is owed to (long_schedule, in whole milliseconds
# from 1 on; 0 is none). The first row is a loop that calls nothing.
#
# The heap of the worker is so large that it is never collected: a garbage collection of millions of
# objects takes its time, whoever made them.

defmodule Longest do
  alias Blanket.{Native, Table}

  @list 1_000_000

  def main(objects, types) do
    IO.puts("#{objects} objects                              worst    above 1 ms  long_schedule")
    row("nothing", fn -> :ok end, fn _ -> spin(200_000_000) end)

    for type <- types -- [:transactions], do: calls(type, objects)
    if :bag in types, do: run()
    if :transactions in types, do: transactions()
  end

  defp calls(type, objects) do
    IO.puts("#{type}")
    table = Table.new(type, [type, :public])

    for from <- 1..objects//@list do
      list = fn -> for i <- from..min(from + @list - 1, objects), do: {i, i} end
      row("insert of a list, #{from} there", list, &Table.insert(table, &1))
    end

    row(
      "insert of the same list again",
      fn -> for(i <- 1..@list, do: {i, -i}) end,
      &Table.insert(table, &1)
    )

    row(
      "insert_new of a list",
      fn -> for(i <- 0..@list, do: {-i, i}) end,
      &Table.insert_new(table, &1)
    )

    row("lookup of each", fn -> :ok end, fn _ -> each(1, objects, &Table.lookup(table, &1)) end)
    row("tab2list", fn -> :ok end, fn _ -> Table.tab2list(table) end)
    row("lookup_many", fn -> Enum.shuffle(1..@list) end, &Table.lookup_many(table, &1))
    row("stream", fn -> :ok end, fn _ -> Enum.each(Table.stream(table), fn _ -> :ok end) end)
    row("slots at the end", fn -> :ok end, fn _ -> slots(table, type, objects) end)
    row("next from each", fn -> :ok end, fn _ -> walk(table, Table.first(table)) end)
    row("delete of each", fn -> :ok end, fn _ -> each(1, objects, &Table.delete(table, &1)) end)

    fill(table, objects)
    row("delete_many", fn -> Enum.shuffle(1..@list) end, &Table.delete_many(table, &1))
    Table.delete_all_objects(table)

    row("insert of each, growing", fn -> :ok end, fn _ ->
      each(1, objects, &Table.insert(table, {&1, &1}))
    end)

    row("insert of each, again", fn -> :ok end, fn _ ->
      each(1, objects, &Table.insert(table, {&1, {&1}}))
    end)

    row("delete_all_objects", fn -> :ok end, fn _ -> Table.delete_all_objects(table) end)
    fill(table, objects)
    row("delete", fn -> :ok end, fn _ -> Table.delete(table) end)
    owner = owner(type, objects)
    row("death of the owner", fn -> :ok end, fn _ -> die(owner) end)
  end

  # Many objects under one key.
  defp run do
    IO.puts("bag, one key")
    table = Table.new(:run, [:bag, :public])
    one_key = fn -> for i <- 1..@list, do: {:key, i} end
    row("insert of a list", one_key, &Table.insert(table, &1))
    row("insert of a list, again", one_key, &Table.insert(table, &1))
    row("lookup", fn -> :ok end, fn _ -> Table.lookup(table, :key) end)
    row("first_lookup", fn -> :ok end, fn _ -> Table.first_lookup(table) end)
    row("lookup_many", fn -> :ok end, fn _ -> Table.lookup_many(table, [:key]) end)

    row("delete_object of a thousand", fn -> :ok end, fn _ ->
      each(1, 1000, &Table.delete_object(table, {:key, &1}))
    end)

    row("delete", fn -> :ok end, fn _ -> Table.delete(table, :key) end)

    row("insert of each", fn -> :ok end, fn _ ->
      each(1, @list, &Table.insert(table, {:key, &1}))
    end)

    row("take", fn -> :ok end, fn _ -> Table.take(table, :key) end)
  end

  # Commits of as many operations as are made in one go, of small objects and of large ones. To read a large
  # object copies it, so it is read before the clock runs.
  defp transactions do
    IO.puts("transactions")
    table = Table.new(:transactions, [:public])
    small = fn -> for i <- 1..60, do: {i, i} end

    row("60 small objects, a thousand times", small, fn objects ->
      each(1, 1000, fn _ -> write(table, objects) end)
    end)

    for {size, cells} <- [{"2 KB", 125}, {"100 KB", 6_250}, {"1 MB", 62_500}] do
      objects = fn -> for i <- 1..60, do: {i, Enum.to_list(1..cells)} end
      row("60 objects of #{size}", objects, &write(table, &1))

      read_set = fn -> Map.new(objects.(), &{{0, elem(&1, 0)}, [&1]}) end
      row("the same, read", read_set, &commit(table, &1))
    end

    binaries = fn -> for i <- 1..60, do: {i, :binary.copy("a", 1_000_000)} end
    row("60 binaries of 1 MB", binaries, &write(table, &1))
    compressed = Table.new(:transactions, [:public, :compressed])
    objects = fn -> for i <- 1..60, do: {i, Enum.to_list(1..6_250)} end
    row("60 objects of 100 KB, compressed", objects, &write(compressed, &1))
  end

  defp write(table, objects) do
    {:ok, _} =
      Blanket.transaction(fn tx ->
        for object <- objects, do: Blanket.Transaction.insert(tx, table, object)
      end)
  end

  defp commit(table, read_set) do
    with :large <- Native.commit({table}, read_set, %{}, %{}),
         do: Native.commit_large({table}, read_set, %{}, %{})
  end

  defp fill(table, objects) do
    for from <- 1..objects//@list do
      Table.insert(table, for(i <- from..min(from + @list - 1, objects), do: {i, i}))
    end
  end

  defp each(i, last, _call) when i > last, do: :ok

  # Lets others run after each call: a call is to be seen, not a loop of them.
  defp each(i, last, call) do
    call.(i)
    :erlang.yield()
    each(i + 1, last, call)
  end

  defp slots(table, :ordered_set, objects),
    do: each(objects - 10, objects, &Table.slot(table, &1))

  defp slots(table, _hash, _objects), do: each(0, 4096, &Table.slot(table, &1))

  defp walk(_table, :"$end_of_table"), do: :ok

  defp walk(table, key) do
    :erlang.yield()
    walk(table, Table.next(table, key))
  end

  defp owner(type, objects) do
    parent = self()

    owner =
      spawn(fn ->
        fill(Table.new(type, [type, :public]), objects)
        send(parent, :filled)
        receive do: (:exit -> :ok)
      end)

    receive do: (:filled -> owner)
  end

  defp die(owner) do
    monitor = Process.monitor(owner)
    send(owner, :exit)
    receive do: ({:DOWN, ^monitor, _, _, _} -> :ok)
  end

  defp spin(0), do: :ok
  defp spin(n), do: spin(n - 1)

  # The arguments of `call` are made before the clock runs.
  defp row(name, make, call) do
    parent = self()

    {worker, monitor} =
      :erlang.spawn_opt(
        fn ->
          argument = make.()
          :erlang.garbage_collect()
          send(parent, :ready)
          receive do: (:go -> call.(argument))
          send(parent, :done)
          receive do: (:exit -> :ok)
        end,
        [:monitor, :link, min_heap_size: 120_000_000, fullsweep_after: 1_000_000]
      )

    receive do: (:ready -> :ok)
    flush()
    :erlang.system_monitor(self(), [{:long_schedule, 1}])
    start = now()
    watch = spawn_link(fn -> watch(parent, watched()) end)
    send(worker, :go)
    receive do: (:done -> :ok)
    time = now() - start
    # What is left for later is done now.
    Process.sleep(200)
    send(watch, :stop)
    {worst, often} = receive do: ({:watched, worst, often} -> {worst, often})
    :erlang.system_monitor(:undefined)
    send(worker, :exit)
    receive do: ({:DOWN, ^monitor, _, _, _} -> :ok)

    :io.format("  ~-36s ~9.3f ms ~12b ~12b ms   (in ~b ms)~n", [
      name,
      worst / 1000,
      often,
      long_schedule(worker, 0),
      div(time, 1000)
    ])
  end

  defp watch(parent, watched) do
    receive do
      :stop -> send(parent, {:watched, watched.worst, watched.often})
    after
      0 ->
        :erlang.yield()
        now = now()
        held = now - watched.last

        if held > 1000 or now - watched.looked > 20_000 do
          delayed = delayed()
          held = held - (delayed - watched.delayed)
          now = now()
          watched = note(held, watched)
          watch(parent, %{watched | last: now, looked: now, delayed: delayed})
        else
          watch(parent, %{note(held, watched) | last: now})
        end
    end
  end

  defp watched do
    delayed = delayed()
    %{worst: 0, often: 0, last: now(), looked: now(), delayed: delayed}
  end

  defp note(held, watched) do
    often = if held > 1000, do: watched.often + 1, else: watched.often
    %{watched | worst: max(watched.worst, held), often: often}
  end

  # For how many microseconds the scheduler's thread was ready to run and others ran.
  defp delayed do
    with {:ok, stat} <- File.read("/proc/self/task/#{thread()}/schedstat") do
      [_ran, delayed, _times] = String.split(stat)
      div(String.to_integer(delayed), 1000)
    else
      _ -> 0
    end
  end

  defp thread do
    with nil <- :persistent_term.get(__MODULE__, nil) do
      scheduler? = fn task ->
        File.read("/proc/self/task/#{task}/comm") in [
          {:ok, "1_scheduler\n"},
          {:ok, "erts_sched_1\n"}
        ]
      end

      {:ok, tasks} = File.ls("/proc/self/task")
      thread = Enum.find(tasks, scheduler?)
      :persistent_term.put(__MODULE__, thread)
      thread
    end
  end

  defp now, do: System.monotonic_time(:microsecond)

  defp long_schedule(worker, longest) do
    receive do
      {:monitor, ^worker, :long_schedule, info} ->
        long_schedule(worker, max(longest, info[:timeout]))

      {:monitor, _other, :long_schedule, _info} ->
        long_schedule(worker, longest)
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

{objects, types} =
  case System.argv() do
    [] -> {10_000_000, []}
    [objects | types] -> {String.to_integer(objects), types}
  end

types = for type <- types, do: String.to_existing_atom(type)
Longest.main(objects, if(types == [], do: [:set, :ordered_set, :bag, :transactions], else: types))

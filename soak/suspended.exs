defmodule Soak.Suspended do
  # Readers that are suspended in the middle of something and never go on, and what they keep from being
  # given back.

  import Soak.Measure

  alias Blanket.Table

  @megabyte 1024 * 1024
  @objects 300_000
  # What may be left of tables of many times as much, in bytes of the VM: beyond what the reader has on
  # its own heap.
  @left 3 * @megabyte

  @doc "Each kind of reader keeps back what it may, and no more."
  def check do
    IO.puts("memory of the VM that a suspended process keeps when the objects are gone")

    for {name, _fill, _read, _may_keep} = kind <- kinds(),
        ending <- endings(),
        do: check(kind, name, ending)

    IO.puts("")
  end

  # How the table is filled, what the process does when it is suspended, and whether it keeps all that it
  # was to see: folds and snapshots show what there was, and so does a look-up the objects of its key.
  defp kinds do
    [
      {"in tab2list/1", &fill/1, &{:inside, fn -> Table.tab2list(&1) end}, :nothing},
      {"in select/2", &fill/1, &{:inside, fn -> Table.select(&1, [{:"$1", [], [:"$1"]}]) end},
       :nothing},
      {"in foldl/3", &fill/1, &{:anywhere, fn -> Table.foldl(fn _, n -> n + 1 end, 0, &1) end},
       :all},
      {"with a snapshot", &fill/1, &{:between, fn -> Table.snapshot(&1) end}, :all},
      {"in select_count/2", &fill/1, &{:inside, fn -> count_for_ever(&1) end}, :nothing},
      {"between calls of next/2", &fill/1, &{:between, fn -> walk(&1, 1000) end}, :nothing},
      {"with a fixation", &fill/1, &{:between, fn -> Table.safe_fixtable(&1, true) end},
       :nothing},
      {"with a continuation", &fill/1,
       &{:between, fn -> Table.select(&1, [{:"$1", [], [:"$1"]}], 100) end}, :nothing},
      {"in lookup/2 of a key of a bag", &fill_key/1, &{:inside, fn -> Table.lookup(&1, :key) end},
       :all}
    ]
  end

  defp endings do
    [
      delete_all_objects: &Table.delete_all_objects/1,
      select_delete: &Table.select_delete(&1, [{:_, [], [true]}]),
      delete: &Table.delete/1
    ]
  end

  defp check({_, fill, read, may_keep}, name, {ending, finish}) do
    before = vm()
    table = Table.new(:suspended, [if(name =~ "bag", do: :bag, else: :set), :public])
    in_process(fn -> fill.(table) end)
    full = vm() - before
    pid = suspend(read.(table))
    {:memory, own} = Process.info(pid, :memory)
    finish.(table)
    if ending != :delete, do: Table.delete(table)
    allowed = if may_keep == :all, do: full, else: 0
    left = await(fn -> vm() - before - own end, allowed + @left)
    Process.exit(pid, :kill)

    IO.puts(
      "  #{String.pad_trailing("#{name}, #{ending}", 50)}#{mb(max(left, 0))} of #{mb(full)} MB"
    )

    if left > allowed + @left,
      do: fail("a process suspended #{name} keeps too much after #{ending}")

    after_it = await(fn -> vm() - before end, @left)

    if after_it > @left,
      do: fail("what a process kept that was suspended #{name} is not given back")
  end

  # Memory that is a list of words, and a page of binaries.
  defp fill(table) do
    for n <- 1..@objects,
        do: Table.insert(table, {n, [n, n], if(rem(n, 30) == 0, do: :binary.copy("x", 200))})
  end

  defp fill_key(table), do: for(n <- 1..@objects, do: Table.insert(table, {:key, n, [n]}))

  defp count_for_ever(table) do
    Table.select_count(table, [{{:"$1", :_, :_}, [{:<, {:rem, :"$1", 7}, 3}], [true]}])
    count_for_ever(table)
  end

  defp walk(table, steps) do
    Enum.reduce(1..steps, Table.first(table), fn _, key -> Table.next(table, key) end)
  end

  # A process that is suspended in the middle of a call, or that holds what the call answered.
  defp suspend({:inside, call}), do: suspend_inside(spawn(fn -> loop(call) end))

  defp suspend({:anywhere, call}) do
    pid = spawn(fn -> loop(call) end)
    Process.sleep(20)
    :erlang.suspend_process(pid)
    pid
  end

  defp suspend({:between, call}) do
    parent = self()

    pid =
      spawn(fn ->
        held = call.()
        send(parent, {self(), :holds})
        receive do: (:go_on -> held)
      end)

    receive do: ({^pid, :holds} -> :erlang.suspend_process(pid))
    pid
  end

  defp loop(call) do
    call.()
    loop(call)
  end

  # Between two slices: the VM shows the function of ours that it is in.
  defp suspend_inside(pid) do
    Process.sleep(:rand.uniform(5))
    :erlang.suspend_process(pid)

    case Process.info(pid, :current_function) do
      {:current_function, {Blanket.Native, _, _}} ->
        pid

      _ ->
        :erlang.resume_process(pid)
        suspend_inside(pid)
    end
  end

  @doc "A large object gives its memory back to the operating system when it is deleted."
  def large_objects do
    IO.puts("memory of the OS before a large object, with it, and when it is deleted")

    for {name, make} <- large(), type <- [:set, :ordered_set, :bag] do
      table = Table.new(:large, [type, :public])
      in_process(fn -> Table.insert(table, {:large, make.()}) end)
      in_process(fn -> Table.delete(table, :large) end)
      before = settled()
      in_process(fn -> Table.insert(table, {:large, make.()}) end)
      with_it = await_more(before)
      in_process(fn -> Table.delete(table, :large) end)
      then = await(&resident/0, before + 16 * @megabyte)

      IO.puts(
        "  #{String.pad_trailing("#{name}, #{type}", 38)}#{mb(before)}, #{mb(with_it)}, #{mb(then)} MB"
      )

      if then > before + 16 * @megabyte,
        do: fail("the memory of #{name} is not given back")

      Table.delete(table)
    end

    IO.puts("")
  end

  defp large do
    [
      {"a binary of 200 MB", fn -> :binary.copy(<<1>>, 200 * @megabyte) end},
      {"a list of 10 million", fn -> Enum.to_list(1..10_000_000) end},
      {"a map of a million", fn -> Map.new(1..1_000_000, &{&1, &1}) end}
    ]
  end

  defp settled do
    for pid <- Process.list(), do: :erlang.garbage_collect(pid)
    Process.sleep(300)
    resident()
  end

  # Fewer bytes than the smallest of them takes.
  defp await_more(before) do
    more = resident()
    if more < before + 20 * @megabyte, do: fail("a large object takes no memory")
    more
  end

  @doc "Processes that stay suspended in what other checks let go of again."
  def forever do
    table = Table.new(:forever, [:public])
    in_process(fn -> fill(table) end)

    pids =
      for {_, _, read, :nothing} <- kinds() do
        suspend(read.(table))
      end

    Table.delete_all_objects(table)
    pids
  end

  # Bytes of the VM, without garbage.
  defp vm do
    for pid <- Process.list(), do: :erlang.garbage_collect(pid, type: :major)
    :erlang.memory(:total)
  end

  defp in_process(fun) do
    {_, monitor} = spawn_monitor(fun)
    receive do: ({:DOWN, ^monitor, :process, _, :normal} -> :ok)
  end

  # What is freed in the background is awaited; what is not freed after a minute never will be.
  defp await(measure, bound, tries \\ 600) do
    measured = measure.()

    if measured <= bound or tries == 0 do
      measured
    else
      Process.sleep(100)
      await(measure, bound, tries - 1)
    end
  end
end

defmodule Chaos.Inspection do
  # Looks at everything while nobody does anything: no table is lost, there twice, or without its owner
  # and its heir, and all objects are as the ledger has them.

  alias Blanket.{Native, Table}
  alias Chaos.{Bank, Findings, Gate, Ledger, Model, Owner, Plan, Reading, Writer}

  # Seconds after which whoever has not come yet never will.
  @patience 300

  @doc "Closes the gate and inspects. The killer has stopped."
  def run(world) do
    Gate.close()

    if await_workers(world.workers, now() + @patience) do
      for owner <- world.owners, do: inspect_owner(owner)
      Bank.inspect()
      inspect_counts(world.owners)
    else
      stuck(world)
    end
  end

  defp await_workers(count, deadline) do
    cond do
      length(Gate.waiting()) == count -> true
      now() > deadline -> false
      true -> Process.sleep(5) && await_workers(count, deadline)
    end
  end

  defp inspect_owner(owner) do
    expect_soon("owner answers", owner, true, fn ->
      match?({:ok, _}, Owner.call(owner.name, :tables))
    end)

    for table <- owner.tables do
      ref = Plan.ref(owner, table)
      {reference, _keep} = Native.kept(ref)
      expect("reference", ref, Ledger.reference(table), reference)
      owned? = fn -> Table.info(reference, :owner) == Blanket.get_owner_pid(owner.name) end
      expect_soon("owned", ref, true, owned?)
      expect_heir(ref, Table.info(reference, :owner))
      inspect_lanes(table, reference)
    end
  end

  defp expect_heir(ref, owner) do
    expect_soon("heir watches", ref, {owner, nil}, fn -> watched(Blanket.Heir.whereis(ref)) end)
    heir = Blanket.Heir.whereis(ref)

    expect_soon("heirs of one", ref, [{heir, nil}], fn ->
      Registry.lookup(Blanket.Registry, ref)
    end)
  end

  # The owner and the candidate of an heir that has dealt with whatever it was told before.
  defp watched(heir) do
    %{owner: owner, candidate: candidate} = :sys.get_state(heir)
    {with({pid, _} <- owner, do: pid), candidate}
  catch
    # It is being started again.
    :exit, _ -> nil
  end

  # Objects of private tables are read by the owner.
  defp inspect_lanes(table, reference) do
    sizes =
      for lane <- table.lanes do
        {_version, contents, operation} = Ledger.lane(lane)
        expect("under way", lane, nil, operation)
        objects = objects(table, reference, lane)

        case Model.read(table, objects) do
          {:ok, ^contents} ->
            :ok

          {:ok, found} ->
            Findings.add("lost or there twice", {table, Writer.difference(contents, found)})

          damaged ->
            Findings.add("damaged", {table, damaged})
        end

        Model.size(contents)
      end

    expect("size", table, Enum.sum(sizes), Table.info(reference, :size))
  end

  defp objects(%{protection: :private} = table, _reference, lane) do
    {:ok, objects} = Owner.call(table.owner, {:read, table.id, lane, Reading.random_of_all()})
    objects
  end

  defp objects(table, reference, lane),
    do: Reading.run(Reading.random_of_all(), reference, table, lane)

  # The bank's tables are beside them, and one of the library's own.
  defp inspect_counts(owners) do
    tables = owners |> Enum.map(&length(&1.tables)) |> Enum.sum()
    expect_soon("tables", :all, tables + Bank.count() + 1, fn -> length(Table.all()) end)
    expect_soon("tables kept", :all, tables, fn -> length(Native.kept()) end)
    expect_soon("heirs", :all, tables, fn -> Registry.count(Blanket.Registry) end)
    expect_soon("heirs that wait", :all, 0, fn -> Registry.count(Blanket.Waiting) end)
    expect_soon("heirs that are supervised", :all, {tables, tables}, &supervised/0)
  end

  defp supervised do
    counts = DynamicSupervisor.count_children(Blanket.Heir.Supervisor)
    {counts.specs, counts.active}
  catch
    :exit, _ -> nil
  end

  # Whoever was killed last is being started again: what is missing then comes, and what is too much goes.
  # What is lost does not come, and what is left does not go.
  defp expect_soon(what, of, wanted, find, deadline \\ now() + @patience) do
    found = find.()

    cond do
      found == wanted -> :ok
      # One that never comes is waited for; those that are missing with it need not be.
      now() > deadline or Findings.count() > 0 -> expect(what, of, wanted, found)
      true -> Process.sleep(5) && expect_soon(what, of, wanted, find, deadline)
    end
  end

  defp expect(_what, _of, wanted, wanted), do: :ok

  defp expect(what, of, wanted, found),
    do: Findings.add(what, %{of: of, wanted: wanted, found: found})

  @doc "Runs what is to come to an end, unless somebody waits for ever."
  def within_patience(owners, fun) do
    watchdog =
      spawn(fn ->
        receive do
          :over -> :ok
        after
          1000 * @patience ->
            Findings.add("does not start or end", waiting_owners(owners)) && System.halt(1)
        end
      end)

    result = fun.()
    send(watchdog, :over)
    result
  end

  # Which owners wait, and who else has not come.
  defp stuck(world) do
    waiting_owners(world.owners)
    waiting = Gate.waiting()

    for supervisor <- [world.writers, world.readers, world.clerks, world.auditors],
        {id, pid, _, _} <- Supervisor.which_children(supervisor),
        pid not in waiting do
      Findings.add("stuck", {id, where(pid)})
    end
  end

  defp waiting_owners(owners) do
    for owner <- owners,
        pid = Blanket.get_owner_pid(owner.name),
        Process.info(pid, :current_function) != {:current_function, {:gen_server, :loop, 7}},
        table <- owner.tables do
      ref = Plan.ref(owner, table)
      {reference, keep} = Native.kept(ref) || {nil, nil}

      Findings.add("an owner waits", %{
        ref: ref,
        owner: where(pid),
        table: {reference, keep, reference && Table.info(reference, :owner)},
        heir: where(Blanket.Heir.whereis(ref))
      })
    end
  end

  defp where(pid) when is_pid(pid),
    do: {pid, Process.info(pid, [:current_stacktrace, :status, :message_queue_len])}

  defp where(other), do: other

  defp now, do: System.monotonic_time(:second)
end

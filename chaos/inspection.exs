defmodule Chaos.Inspection do
  # Looks at everything while nobody does anything: no table is lost, there twice, or without its owner
  # and its heir, and all objects are as the ledger has them.

  alias Blanket.{Native, Table}
  alias Chaos.{Findings, Gate, Ledger, Model, Owner, Plan, Reading, Writer}

  # Seconds after which whoever has not come yet never will.
  @patience 60

  @doc "Closes the gate and inspects. The killer has stopped."
  def run(world) do
    Gate.close()

    if await_workers(world.workers, now() + @patience) do
      for owner <- world.owners, do: inspect_owner(owner)
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
    pid = Blanket.get_owner_pid(owner.name)

    with {:ok, references} <- Owner.call(owner.name, :tables) do
      for table <- owner.tables do
        reference = references[table.id]
        ref = Plan.ref(owner, table)
        expect("kept", ref, reference, elem(Native.kept(ref) || {nil, nil}, 0))
        expect("owner", table, pid, Table.info(reference, :owner))
        expect_heir(ref, pid)
        inspect_lanes(table, reference)
      end
    end
  end

  # An owner that is between two lives comes back, or the writers would not have come to the gate; one
  # that stopped since has been killed by nobody.
  defp expect_heir(ref, owner) do
    {:ok, heir} = Blanket.Heir.find_or_start(ref)
    # Whatever it was told before has been dealt with.
    state = :sys.get_state(heir)
    expect("heir of", ref, [{heir, nil}], Registry.lookup(Blanket.Registry, ref))
    expect("heir watches", ref, owner, with({pid, _} <- state.owner, do: pid))
    expect("candidate", ref, nil, state.candidate)
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

  # One of the library's own is beside them.
  defp inspect_counts(owners) do
    tables = owners |> Enum.map(&length(&1.tables)) |> Enum.sum()
    expect("tables", :all, tables + 1, length(Table.all()))
    expect("tables kept", :all, tables, length(Native.kept()))
    expect("heirs", :all, tables, Registry.count(Blanket.Registry))
    expect("heirs that wait", :all, 0, Registry.count(Blanket.Waiting))
    heirs = DynamicSupervisor.count_children(Blanket.Heir.Supervisor)
    expect("children of the supervisor of the heirs", :all, tables, heirs.active)
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

    for supervisor <- [world.writers, world.readers],
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

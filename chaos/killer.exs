defmodule Chaos.Killer do
  # Does harm, at random, and counts it by kind. It never calls what it may have suspended.

  alias Chaos.{Junk, Plan}

  # How often, of all: what strikes one process, what strikes all owners of a supervisor, and what takes
  # down all heirs.
  @kinds [
    kill_owner: 120,
    crash_owner: 30,
    stop_owner: 30,
    kill_heir: 120,
    kill_owner_and_heir: 60,
    kill_writer: 150,
    kill_reader: 60,
    kill_clerk: 300,
    kill_auditor: 60,
    give_to_the_dying: 60,
    rename: 60,
    suspend_owner: 30,
    suspend_heir: 30,
    suspend_writer: 40,
    suspend_reader: 20,
    suspend_clerk: 40,
    suspend_part: 4,
    collect_garbage: 60,
    fill_mailbox: 15,
    ask_for_tables: 15,
    kill_supervisor_of_owners: 8,
    kill_supervisor_of_heirs: 4,
    kill_registry: 4,
    kill_crier: 4,
    kill_application: 3,
    restart_application: 3
  ]
  @total Enum.sum(Keyword.values(@kinds))

  @parts [Blanket.Heir.Supervisor, Blanket.Crier, Blanket.Supervisor, Blanket.Registry]
  @registries [Blanket.Registry, Blanket.Waiting, Blanket.Creating]

  @doc "Starts a killer of what is in `world`: `owners`, and the pids of `supervisors`, `writers`, `readers`,
  `clerks` and `auditors`."
  def start_link(world, seed) do
    spawn_link(fn ->
      :rand.seed(:exsss, seed)
      work(Map.merge(world, %{counts: %{}, suspended: []}))
    end)
  end

  @doc "Stops the killer, which mends what it can, and answers what it has done."
  def stop(killer) do
    send(killer, {:stop, self()})
    receive do: ({:killed, ^killer, counts} -> counts)
  end

  defp work(state) do
    receive do
      {:garbage_collect, _, _} ->
        work(state)

      {:stop, from} ->
        resume(state, :infinity)
        start_application()
        send(from, {:killed, self(), state.counts})
    after
      :rand.uniform(12) ->
        kind = choose(@kinds, :rand.uniform(@total))
        state = resume(state, now())
        state = act(kind, state)
        work(update_in(state.counts, &Map.update(&1, kind, 1, fn count -> count + 1 end)))
    end
  end

  defp choose([{kind, weight} | _], roll) when roll <= weight, do: kind
  defp choose([{_, weight} | kinds], roll), do: choose(kinds, roll - weight)

  defp act(:kill_owner, state), do: kill(random_owner(state), state)
  defp act(:crash_owner, state), do: exit_with(random_owner(state), :crash, state)

  # A transient table ends with such an owner: that is for its writer to ask for.
  defp act(:stop_owner, state) do
    owner = Enum.random(state.owners)
    unless owner.transient?, do: exit_with(pid(owner), :shutdown, state)
    state
  end

  defp act(:kill_heir, state), do: kill(random_heir(state), state)

  defp act(:kill_owner_and_heir, state) do
    owner = Enum.random(state.owners)
    pids = [pid(owner) | for(table <- owner.tables, do: heir(owner, table))]
    Enum.reduce(Enum.shuffle(pids), state, &kill/2)
  end

  defp act(:kill_writer, state), do: kill(random_child(state.writers), state)
  defp act(:kill_reader, state), do: kill(random_child(state.readers), state)
  defp act(:kill_clerk, state), do: kill(random_child(state.clerks), state)
  defp act(:kill_auditor, state), do: kill(random_child(state.auditors), state)

  defp act(:give_to_the_dying, state) do
    owner = Enum.random(state.owners)
    table = Enum.random(owner.tables)
    life = Enum.random([0, 0, 1, 5, 20])
    # A transient table would end with an owner that exits :normal.
    reason = if owner.transient?, do: :crash, else: :normal
    dying = spawn(fn -> Process.sleep(life) && exit(reason) end)
    if :rand.uniform(4) == 1, do: Process.exit(dying, :kill)
    cast(owner, {:give_away, table.id, dying})
    state
  end

  defp act(:rename, state) do
    owner = Enum.random(state.owners)
    cast(owner, {:rename, Enum.random(owner.tables).id})
    state
  end

  defp act(:suspend_owner, state), do: suspend(random_owner(state), state)
  defp act(:suspend_heir, state), do: suspend(random_heir(state), state)
  defp act(:suspend_writer, state), do: suspend(random_child(state.writers), state)
  defp act(:suspend_reader, state), do: suspend(random_child(state.readers), state)
  defp act(:suspend_clerk, state), do: suspend(random_child(state.clerks), state)
  defp act(:suspend_part, state), do: suspend(Process.whereis(Enum.random(@parts)), state)

  defp act(:collect_garbage, state) do
    with pid when is_pid(pid) <- random_of_any(state),
         do: :erlang.garbage_collect(pid, [{:async, make_ref()}])

    state
  end

  defp act(:fill_mailbox, state) do
    pid = Enum.random([random_of_any(state), Process.whereis(Blanket.Crier)])
    with true <- is_pid(pid), do: Junk.fill(pid, 2000)
    state
  end

  # Somebody for whom nothing is kept, and who must get nothing.
  defp act(:ask_for_tables, state) do
    name = Enum.random(Enum.random(state.owners).tables).name

    spawn(fn ->
      with {:ok, table} <- Blanket.receive_table(name, 20),
           do: Chaos.Findings.add("a stranger got", {name, table})
    end)

    state
  end

  defp act(:kill_supervisor_of_owners, state) do
    kill(random_child(state.supervisors), state)
  end

  defp act(:kill_supervisor_of_heirs, state),
    do: kill(Process.whereis(Blanket.Heir.Supervisor), state)

  defp act(:kill_registry, state), do: kill(Process.whereis(Enum.random(@registries)), state)
  defp act(:kill_crier, state), do: kill(Process.whereis(Blanket.Crier), state)

  defp act(:kill_application, state) do
    state = kill(Process.whereis(Blanket.Supervisor), state)
    meanwhile(state)
  end

  defp act(:restart_application, state) do
    # Its supervisors wait for what they stop.
    state = resume(state, :infinity)
    _ = Application.stop(:blanket)
    meanwhile(state)
  end

  # Without the application owners exit like ever, and their supervisors try to start others.
  defp meanwhile(state) do
    Process.sleep(:rand.uniform(20))
    state = Enum.reduce(1..:rand.uniform(5), state, fn _, state -> act(:kill_owner, state) end)
    start_application()
    state
  end

  # Whoever stops an application is told of it before all know.
  defp start_application do
    _ = Application.start(:blanket)

    unless Process.whereis(Blanket.Supervisor) do
      Process.sleep(1)
      start_application()
    end
  end

  defp kill(pid, state), do: exit_with(pid, :kill, state)

  defp exit_with(pid, reason, state) do
    if is_pid(pid), do: Process.exit(pid, reason)
    state
  end

  defp suspend(pid, state) do
    if is_pid(pid) and suspend(pid),
      do: %{state | suspended: [{now() + :rand.uniform(100), pid} | state.suspended]},
      else: state
  end

  defp suspend(pid) do
    :erlang.suspend_process(pid, [:unless_suspending, :asynchronous])
  rescue
    # It is dead.
    ArgumentError -> false
  end

  # As terms, every time is less than :infinity.
  defp resume(state, time) do
    {over, suspended} = Enum.split_with(state.suspended, fn {until, _} -> until <= time end)
    for {_, pid} <- over, do: resume(pid)
    %{state | suspended: suspended}
  end

  defp resume(pid) do
    :erlang.resume_process(pid)
  rescue
    ArgumentError -> false
  end

  defp random_of_any(state) do
    case :rand.uniform(4) do
      1 -> random_owner(state)
      2 -> random_heir(state)
      3 -> random_child(state.writers)
      4 -> random_child(state.readers)
    end
  end

  defp random_owner(state), do: state.owners |> Enum.random() |> pid()

  defp random_heir(state) do
    owner = Enum.random(state.owners)
    heir(owner, Enum.random(owner.tables))
  end

  defp pid(owner), do: Blanket.get_owner_pid(owner.name)

  defp heir(owner, table), do: Blanket.Heir.whereis(Plan.ref(owner, table))

  # The supervisor is asked by nobody: its links are its children, and its parent.
  defp random_child(supervisor) do
    case Process.info(Process.whereis(supervisor), [:links, :dictionary]) do
      [links: links, dictionary: dictionary] ->
        children = Enum.filter(links, &is_pid/1) -- parents(dictionary[:"$ancestors"])
        if children != [], do: Enum.random(children)

      nil ->
        nil
    end
  end

  defp parents(ancestors),
    do: for(a <- ancestors, do: if(is_atom(a), do: Process.whereis(a), else: a))

  defp cast(owner, message), do: GenServer.cast(owner.name, message)

  defp now, do: System.monotonic_time(:millisecond)
end

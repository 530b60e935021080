defmodule Blanket.Heir do
  @moduledoc false

  # One process a kept table. It watches the owner and finds the next one; it never holds the table.
  # The native library knows who owns what, so an heir can die at any point: the next one reads
  # everything anew.

  use GenServer, restart: :transient, shutdown: :brutal_kill

  require Logger

  alias Blanket.{Application, Events, Native, Rendezvous}
  alias Blanket.Heir.Sight

  defstruct [
    :ref,
    :table,
    :keep,
    :owner,
    :candidate,
    :seen,
    :exit,
    :offered,
    # The number of the last hand-over that it has seen.
    passed: -1,
    waiting: false,
    failing: false
  ]

  @typep watched :: {pid, reference} | nil
  @typep t :: %__MODULE__{
           ref: term,
           table: reference,
           keep: map,
           owner: watched,
           candidate: watched,
           seen: Sight.state() | nil,
           exit: {pid, reason :: term} | nil,
           offered: pid | nil,
           passed: integer,
           waiting: boolean,
           failing: boolean
         }

  ## For owners

  @doc """
  The heir of the table that is kept as `ref`, started if it is not there.
  """
  @spec find_or_start(term) :: {:ok, pid} | {:error, {:not_started, :blanket} | :not_kept}
  def find_or_start(ref) do
    with nil <- whereis(ref),
         :again <- start(ref),
         :ok <- Application.await_children() do
      if Native.kept(ref), do: find_or_start(ref), else: {:error, :not_kept}
    else
      pid when is_pid(pid) -> {:ok, pid}
      other -> other
    end
  end

  @doc """
  Starts the heir of the table that is kept as `ref`. `:again` if it could not be started right now.
  """
  @spec start(term) :: {:ok, pid} | :again
  def start(ref) do
    case DynamicSupervisor.start_child(__MODULE__.Supervisor, {__MODULE__, ref}) do
      {:ok, pid} -> {:ok, pid}
      _ignored_or_failed -> :again
    end
  catch
    :exit, _ -> :again
  end

  @spec whereis(term) :: pid | nil
  def whereis(ref) do
    # Unlike Registry.lookup/2 this never answers a process that is dead.
    with :undefined <- Registry.whereis_name({Blanket.Registry, ref}), do: nil
  rescue
    # The registry is being started again.
    ArgumentError -> nil
  end

  @doc """
  Tells the heir of `ref` that the calling process owns the table now. `info` is what the table was like then.

  The name is looked up after the claim: an heir that is not found yet will see the new owner when it
  starts.
  """
  @spec claimed(term, reference, map) :: :ok
  def claimed(ref, table, info) do
    with pid when is_pid(pid) <- whereis(ref),
         do: send(pid, {:claimed, self(), table, info}),
         else: (nil -> tell_claimed(ref, info))

    :ok
  end

  # The next heir cannot know of it.
  defp tell_claimed(ref, info) do
    with {table, keep} <- Native.kept(ref) do
      kept = %{ref: ref, table: table, keep: keep}
      Events.handed_over(kept, %{from: nil, to: self(), reason: nil, via: :claim}, info)
    end
  end

  @doc """
  Returns when the heir has dealt with the exit of an owner who is dead already, or when that takes
  too long: `c:Blanket.get_owner_pid/1` may wait for the process that calls this.
  """
  @spec settle(term, timeout) :: :ok
  def settle(ref, timeout \\ 5_000) do
    with pid when is_pid(pid) <- whereis(ref), do: GenServer.call(pid, :settle, timeout)
    :ok
  catch
    :exit, {:timeout, _} -> :ok
    :exit, _ -> settle(ref, timeout)
  end

  @doc """
  Tells the heirs that wait for an owner of one of these names to look whether it is ready. Answers
  whether there are any.
  """
  @spec tell_those_of([owner :: term]) :: boolean
  def tell_those_of(owners) do
    heirs = for owner <- owners, {heir, _} <- Registry.lookup(Blanket.Waiting, owner), do: heir
    for heir <- heirs, do: send(heir, :look)
    heirs != []
  rescue
    # The registry is being started again.
    ArgumentError -> false
  end

  @doc """
  Tells the heir of `ref` to look whether its owner is ready.
  """
  @spec tell(term) :: :ok
  def tell(ref) do
    with pid when is_pid(pid) <- whereis(ref), do: send(pid, :look)
    :ok
  end

  @doc """
  Ends the heir of a table that is kept no longer.
  """
  @spec stop(term) :: :ok
  def stop(ref) do
    Rendezvous.forget_heirs_of(ref)

    with pid when is_pid(pid) <- whereis(ref), do: terminate(pid)
    :ok
  end

  # One of a supervisor that was killed, see replace/2, would become the heir of the next table.
  defp terminate(pid) do
    with {:error, :not_found} <- DynamicSupervisor.terminate_child(__MODULE__.Supervisor, pid),
         do: Process.exit(pid, :kill)
  catch
    :exit, _ -> Process.exit(pid, :kill)
  end

  ## The process

  # Runs in the supervisor.
  def start_link(ref) do
    name = {:via, Registry, {Blanket.Registry, ref}}

    case GenServer.start_link(__MODULE__, ref, name: name) do
      {:error, {:already_started, pid}} ->
        # Where somebody else has started one first, an error would make the supervisor try again for ever.
        if child?(pid), do: :ignore, else: replace(pid, ref)

      started ->
        started
    end
  end

  defp child?(pid) do
    case Process.info(pid, :links) do
      {:links, links} -> self() in links
      nil -> false
    end
  end

  # It is of a supervisor that was killed, perhaps when it had let go of its heirs to end them one by one: it may be
  # about to die, or live on with nobody to start it again.
  defp replace(pid, ref) do
    monitor = Process.monitor(pid)
    Process.exit(pid, :kill)

    receive do
      {:DOWN, ^monitor, :process, ^pid, _reason} -> start_link(ref)
    end
  end

  @impl true
  def init(ref) do
    case Native.kept(ref) do
      {table, keep} ->
        heir = %__MODULE__{ref: ref, table: table, keep: keep}
        predecessors = Rendezvous.enter_heir(ref)
        if predecessors != [], do: Events.restarted(heir)
        {:ok, %{heir | seen: if(predecessors == [], do: first_seen(keep))}, {:continue, :look}}

      nil ->
        Rendezvous.forget_heirs_of(ref)
        :ignore
    end
  end

  # What Blanket.new/4 keeps has no owner at first.
  defp first_seen(%{module: nil}), do: nil
  defp first_seen(_keep), do: :orphan

  @impl true
  def handle_continue(:look, heir), do: noreply(look(heir))

  @impl true
  def handle_call(:settle, _from, heir) do
    case look(heir) do
      {:gone, heir} -> {:stop, :normal, :ok, tell(heir, :gone)}
      {_, heir} -> {:reply, :ok, heir, {:continue, :look}}
    end
  end

  @impl true
  def handle_info(:look, heir) do
    # Whoever has told it so far is at the rendezvous already: one look serves them all.
    flush_look()
    noreply(look(heir))
  end

  def handle_info({:claimed, _pid, table, _info} = claim, %{table: table} = heir) do
    Rendezvous.forget_predecessors(heir.ref)
    noreply(heir |> see_claim(claim) |> look())
  end

  # Either it is of the table before, or of one of which the heir does not know yet that it is kept.
  def handle_info({:claimed, _pid, table, _info} = claim, heir) do
    case look(heir) do
      {state, %{table: ^table} = heir} when state != :gone -> handle_info(claim, heir)
      looked -> noreply(looked)
    end
  end

  def handle_info({:DOWN, monitor, :process, _pid, reason}, %{owner: {_, monitor}} = heir) do
    noreply(owner_exited(heir, reason))
  end

  def handle_info({:DOWN, monitor, :process, _pid, _reason}, %{candidate: {_, monitor}} = heir) do
    {:noreply, %{heir | candidate: nil}}
  end

  def handle_info(_message, heir), do: {:noreply, heir}

  defp flush_look do
    receive do
      :look -> flush_look()
    after
      0 -> :ok
    end
  end

  # It sleeps until its owner exits, which may be never: so it does not keep the memory that it took to
  # come here.
  defp noreply({:owned, heir}), do: {:noreply, tell(heir, elem(heir.owner, 0)), :hibernate}
  defp noreply({:orphan, heir}), do: {:noreply, heir |> offer() |> tell(:orphan)}
  defp noreply({:gone, heir}), do: {:stop, :normal, tell(heir, :gone)}

  defp tell(heir, now, info \\ nil) do
    Sight.tell(heir, heir.seen, now, heir.exit, heir.offered, info)
    %{heir | seen: now, exit: last_exit(heir, now)}
  end

  # Of an owner that gave the table to one who exited unseen, it is not known that it has exited.
  defp last_exit(%{seen: owner, exit: exit}, :orphan) when is_pid(owner) do
    if match?({^owner, _}, exit), do: exit, else: {owner, nil}
  end

  defp last_exit(heir, _now), do: heir.exit

  # Brings the heir up to date with the native library.
  @spec look(t) :: {:owned | :orphan | :gone, t}
  defp look(heir) do
    case Native.kept(heir.ref) do
      nil ->
        leave(heir)

      {table, keep} when table != heir.table ->
        # The table was deleted, and another is kept as the same.
        heir = heir |> tell(:gone) |> unwatch_owner()
        seen = first_seen(keep)
        look(%{heir | table: table, keep: keep, seen: seen, exit: nil, offered: nil, passed: -1})

      {_table, _keep} ->
        case Native.info(heir.table) do
          :undefined -> look(heir)
          %{owner: :none} -> watch(heir)
          %{owner: pid, hand_overs: number} -> watch(heir, pid, number)
        end
    end
  end

  # It has an owner.
  defp watch(%{owner: {pid, _}} = heir, pid, number), do: {:owned, %{heir | passed: number}}

  defp watch(%{owner: {previous, monitor}} = heir, _pid, _number),
    do: heir |> leave_behind(previous, monitor) |> look()

  defp watch(%{candidate: {pid, _}} = heir, pid, number),
    do: {:owned, candidate_claimed(%{heir | passed: number})}

  defp watch(heir, pid, number) do
    {:owned, stop_waiting(%{heir | owner: {pid, Process.monitor(pid)}, passed: number})}
  end

  # It has none.
  defp watch(%{owner: nil} = heir), do: {:orphan, wait(heir)}

  defp watch(%{owner: {previous, monitor}} = heir) do
    # Dead, and why is on its way here; alive, and it gave the table to one that is dead.
    if Process.alive?(previous),
      do: look(unwatch_owner(heir)),
      else: owner_exited(heir, await_down(monitor))
  end

  defp candidate_claimed(heir) do
    stop_waiting(%{heir | owner: heir.candidate, candidate: nil})
  end

  # The claimant has owned the table, even if it is dead by now, or has given it away. But where the heir has seen a
  # later owner, the claim is over.
  defp see_claim(%{passed: passed} = heir, {:claimed, pid, _table, %{hand_overs: number} = info})
       when number > passed do
    heir = %{heir | passed: number}

    case heir do
      %{owner: {^pid, _}} ->
        heir

      %{owner: nil} ->
        see_owner(heir, pid, info)

      %{owner: {previous, monitor}} ->
        heir |> leave_behind(previous, monitor) |> see_owner(pid, info)
    end
  end

  defp see_claim(heir, _claim), do: heir

  # The monitor of a candidate is from before the claim, and tells why it died. Another candidate may claim yet.
  defp see_owner(%{candidate: {pid, _}} = heir, pid, info),
    do: heir |> candidate_claimed() |> tell(pid, info)

  defp see_owner(heir, pid, info),
    do: tell(stop_waiting(%{heir | owner: {pid, Process.monitor(pid)}}), pid, info)

  defp leave_behind(heir, previous, monitor) do
    if Process.alive?(previous),
      do: unwatch_owner(heir),
      else: %{heir | owner: nil, exit: {previous, await_down(monitor)}}
  end

  defp await_down(monitor) do
    receive do
      {:DOWN, ^monitor, :process, _pid, reason} -> reason
    end
  end

  defp owner_exited(%{owner: {pid, _monitor}} = heir, reason) do
    heir = %{heir | owner: nil, exit: {pid, reason}}

    if heir.keep.transient and leaving?(reason), do: give_up(heir), else: look(heir)
  end

  defp leaving?(:normal), do: true
  defp leaving?(:shutdown), do: true
  defp leaving?({:shutdown, _}), do: true
  defp leaving?(_reason), do: false

  defp give_up(heir) do
    case Native.unkeep(heir.table, heir.passed) do
      {:ok, _ref} -> leave(heir)
      # It has passed the table on, or somebody has claimed it meanwhile.
      {:error, _} -> look(heir)
    end
  rescue
    # It was deleted meanwhile.
    ArgumentError -> look(heir)
  end

  # Whoever keeps another table as the same looks for its heir after that. So the name is given up
  # first, and then nothing may be kept: either that one finds no heir, or this one sees its table.
  defp leave(heir) do
    Registry.unregister(Blanket.Registry, heir.ref)

    with {_table, _keep} <- Native.kept(heir.ref),
         {:ok, _} <- Registry.register(Blanket.Registry, heir.ref, nil) do
      look(heir)
    else
      nil ->
        Rendezvous.forget_heirs_of(heir.ref)
        {:gone, heir}

      {:error, {:already_registered, _heir}} ->
        {:gone, heir}
    end
  end

  defp wait(%{waiting: true} = heir), do: heir
  defp wait(%{keep: %{module: nil}} = heir), do: heir

  defp wait(heir) do
    {:ok, _} = Registry.register(Blanket.Waiting, heir.keep.owner, nil)
    %{heir | waiting: true}
  rescue
    # Without the registry this heir is about to be stopped, and another started. To crash meanwhile
    # would be to crash over and over, and with all others.
    ArgumentError -> heir
  end

  defp stop_waiting(%{waiting: false} = heir), do: heir

  defp stop_waiting(heir) do
    Registry.unregister(Blanket.Waiting, heir.keep.owner)
    %{heir | waiting: false}
  end

  defp offer(heir) do
    {found, heir} = find_owner(heir)

    with pid when is_pid(pid) <- found,
         {alias, wanted} <- Rendezvous.find(pid),
         true <- wanted?(wanted, heir) do
      heir = watch_candidate(heir, pid)
      :erlang.send(alias, {alias, :offer, heir.ref, heir.table})
      %{heir | offered: pid}
    else
      _ -> heir
    end
  end

  defp wanted?(:any, _heir), do: true
  defp wanted?({:ref, ref}, heir), do: ref === heir.ref
  defp wanted?({:name, name}, heir), do: name === heir.keep.name or name === heir.table
  defp wanted?(:start, _heir), do: false

  # Tables that were claimed by reference alone are claimed so again.
  defp find_owner(%{keep: %{module: nil}} = heir), do: {nil, heir}

  defp find_owner(%{keep: %{module: module, owner: owner}} = heir) do
    {module.get_owner_pid(owner), %{heir | failing: false}}
  catch
    kind, reason ->
      unless heir.failing,
        do: log_failure(heir.keep, Exception.format(kind, reason, __STACKTRACE__))

      {nil, %{heir | failing: true}}
  end

  # Once until it works again: the heir asks whenever some process waits for a table.
  defp log_failure(%{module: module, owner: owner, name: name}, exception) do
    Logger.error(
      "#{inspect(module)}.get_owner_pid(#{inspect(owner)}) failed, so the table " <>
        "#{inspect(name)} finds no owner. It is kept, and the function is called again when a " <>
        "process calls Blanket.receive_table. " <> exception
    )
  end

  defp watch_candidate(%{candidate: {pid, _}} = heir, pid), do: heir

  defp watch_candidate(heir, pid) do
    with {_, monitor} <- heir.candidate, do: Process.demonitor(monitor, [:flush])
    %{heir | candidate: {pid, Process.monitor(pid)}}
  end

  defp unwatch_owner(%{owner: nil} = heir), do: heir

  defp unwatch_owner(%{owner: {_, monitor}} = heir) do
    Process.demonitor(monitor, [:flush])
    %{heir | owner: nil}
  end
end

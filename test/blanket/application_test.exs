defmodule Blanket.ApplicationTest do
  # Kills the parts of the application, and stops and starts it. Others cannot run meanwhile.
  use ExUnit.Case, async: false

  import Blanket.Test.Eventually

  alias Blanket.{Files, Heir, Native, Rendezvous, Table}
  alias Blanket.Test.Counter

  @moduletag :capture_log

  @owners 8

  # Owners under a supervisor, each with a client that never stops counting. Their private tables
  # are what must not lose a count.
  setup do
    owners = for _ <- 1..@owners, do: Counter.name()

    children =
      for owner <- owners,
          do: {Counter, Counter.settings(owner: owner, parent: spawn(fn -> :ok end))}

    start_supervised!(%{
      id: :owners,
      type: :supervisor,
      start:
        {Supervisor, :start_link, [children, [strategy: :one_for_one, max_restarts: 1_000_000]]}
    })

    {:ok, _} = Application.ensure_all_started(:blanket)
    on_exit(fn -> {:ok, _} = Application.ensure_all_started(:blanket) end)
    {:ok, owners: owners}
  end

  # Counts until it is told to stop, and answers how often that went well. A call that failed may
  # have counted or not; one that returned must have.
  defp start_client(owner), do: Task.async(fn -> count(owner, 0, 0, 0) end)

  defp count(owner, last, returned, failed) do
    case try_count(owner, :client) do
      {:ok, count} when count > last and count - last <= failed + 1 ->
        receive do
          :stop -> returned + 1
        after
          0 -> count(owner, count, returned + 1, 0)
        end

      {:ok, count} ->
        {:lost, owner, last: last, count: count, failed: failed}

      :failed ->
        count(owner, last, returned, failed + 1)
    end
  end

  defp try_count(owner, key) do
    {:ok, Counter.count(owner, key)}
  catch
    :exit, _ ->
      Process.sleep(1)
      :failed
  end

  # Runs `disturb` a number of times while the clients count.
  defp under_load(owners, times, disturb) do
    clients = for owner <- owners, do: start_client(owner)

    for n <- 1..times do
      kill_owner(Enum.random(owners))
      disturb.(n)
      # All owners count again before the next round: that is what the restart must lead to.
      for owner <- owners, do: await_count(owner)
    end

    for client <- clients, do: send(client.pid, :stop)
    counts = Task.await_many(clients, 30_000)
    assert Enum.all?(counts, &is_integer/1), inspect(counts)
    assert Enum.all?(counts, &(&1 > 0))
  end

  defp await_count(owner) do
    with :failed <- try_count(owner, :probe), do: await_count(owner)
  end

  defp kill_owner(owner) do
    with pid when is_pid(pid) <- Process.whereis(owner), do: Process.exit(pid, :kill)
  end

  defp kill(name) do
    with pid when is_pid(pid) <- Process.whereis(name), do: Counter.stop(pid, :kill)
  end

  test "the stop of the application writes what durable tables have" do
    table = Table.new(:durable, [{:durable, Files.path(), sync: :manual}])
    Table.insert(table, {1})
    assert Files.on_disk(table) == []
    :ok = Application.stop(:blanket)
    assert Files.on_disk(table) == [{1}]
  end

  for part <- [
        Blanket.Heir.Supervisor,
        Blanket.Registry,
        Blanket.Waiting,
        Blanket.Crier,
        Blanket.Creating
      ] do
    test "#{inspect(part)} killed under load", %{owners: owners} do
      under_load(owners, 20, fn _n -> kill(unquote(part)) end)
    end
  end

  test "several parts killed at once under load", %{owners: owners} do
    under_load(owners, 20, fn _n ->
      kill(Blanket.Crier)
      kill(Blanket.Heir.Supervisor)
      kill(Blanket.Registry)
      for owner <- owners, do: kill_owner(owner)
    end)
  end

  test "heirs that a supervisor has let go of when it was killed get others in their place" do
    name = Counter.name()
    {:ok, heir} = Blanket.new(Blanket, self(), {name, []})
    supervisor = Process.whereis(Blanket.Heir.Supervisor)

    :sys.replace_state(supervisor, fn state ->
      Process.unlink(heir)
      state
    end)

    Counter.stop(supervisor, :kill)
    :ok = Blanket.Application.await_children()

    refute Process.alive?(heir)
    assert next = Heir.whereis({Blanket, self(), name})
    supervised = DynamicSupervisor.which_children(Blanket.Heir.Supervisor)
    assert next in for({_, pid, _, _} <- supervised, do: pid)
    assert {:ok, _table} = Blanket.receive_table(next)
  end

  test "an heir that a supervisor has let go of ends when its table is kept no longer" do
    {:ok, table} = Blanket.claim_table(:let_go, create_table: {:t, []})
    heir = Heir.whereis(:let_go)

    :sys.replace_state(Heir.Supervisor, fn state ->
      Process.unlink(heir)
      %{state | children: Map.delete(state.children, heir)}
    end)

    :ok = Blanket.abandon_table(table)
    refute Process.alive?(heir)
    {:ok, _other} = Blanket.claim_table(:let_go, create_table: {:t, []})
    assert Heir.whereis(:let_go) != heir
  end

  test "stopped and started again under load", %{owners: owners} do
    under_load(owners, 5, fn _n ->
      Application.stop(:blanket)
      kill_owner(Enum.random(owners))
      :ok = Application.start(:blanket)
    end)
  end

  test "killed again while it starts a thousand heirs" do
    owner = Counter.name()
    for n <- 1..1000, do: {:ok, _} = Blanket.new(Blanket, {:never_comes, n}, {owner, []})
    {:ok, _} = Blanket.new(Blanket, self(), {owner, []})

    for _ <- 1..5 do
      kill(Blanket.Waiting)
      eventually(fn -> Process.whereis(Blanket.Waiting) end)
    end

    assert {:ok, _table} = Blanket.receive_table()

    for {{_, {:never_comes, _}, ^owner} = ref, table, _keep} <- Native.kept() do
      assert {:ok, ^ref} = Native.unkeep(table)
      Heir.stop(ref)
    end
  end

  test "an heir that the supervisor starts again too late, after another's start, is not tried for ever" do
    {:ok, _table} = Blanket.claim_table(:raced, create_table: {:t, []})
    heir = Heir.whereis(:raced)
    :sys.suspend(Heir.Supervisor)
    # It is asked for before the supervisor is told that the heir is dead.
    starting = Task.async(fn -> Heir.start(:raced) end)
    supervisor = Process.whereis(Heir.Supervisor)
    eventually(fn -> Process.info(supervisor, :message_queue_len) == {:message_queue_len, 1} end)
    Counter.stop(heir, :kill)
    :sys.resume(Heir.Supervisor)
    assert {:ok, next} = Task.await(starting)
    children = for {_, pid, _, _} <- DynamicSupervisor.which_children(Heir.Supervisor), do: pid
    assert next in children
    refute heir in children
    refute :restarting in children
    assert Heir.whereis(:raced) == next
  end

  test "an heir whose table was deleted while there was none is forgotten" do
    {:ok, table} = Blanket.claim_table(:deleted_meanwhile, create_table: {:t, []})
    heir = Heir.whereis(:deleted_meanwhile)
    :ok = Application.stop(:blanket)
    Table.delete(table)
    assert Rendezvous.ref_of_heir(heir) == {:ok, :deleted_meanwhile}
    :ok = Application.start(:blanket)
    assert Rendezvous.ref_of_heir(heir) == :error
    assert Table.lookup(Rendezvous, {:heirs, :deleted_meanwhile}) == []
  end

  test "a VM in which the application has not run yet answers so" do
    :ok = Application.stop(:blanket)
    {:ok, _} = Table.claim(Rendezvous)
    Table.delete(Rendezvous)
    assert Blanket.new(Blanket, self(), {:t, []}) == {:error, {:not_started, :blanket}}
    assert Blanket.receive_table(self()) == {:error, :transfer_timeout}
    assert Blanket.abandon_table(Table.new(:t, []), self()) == {:error, :not_kept}
    assert Blanket.receive_table(0) == {:error, :transfer_timeout}
    # Who waits is served as soon as it runs.
    receiving = Task.async(fn -> Blanket.receive_table() end)
    eventually(fn -> Rendezvous.find(receiving.pid) end)
    :ok = Application.start(:blanket)
    {:ok, _heir} = Blanket.new(Blanket, receiving.pid, {:t, []})
    assert {:ok, _table} = Task.await(receiving)
  end

  describe "while the application is stopped" do
    defp keep(opts) do
      owner = Counter.name()
      settings = Counter.settings([owner: owner] ++ opts)
      {:ok, pid} = Counter.start_link(settings)
      Process.unlink(pid)
      assert_receive {:received, ^owner, ^pid, table}
      {settings, pid, table}
    end

    test "an owner works on, and what it wrote is there for the next" do
      {settings, pid, table} = keep(opts: :transient)
      heir = Heir.whereis({Counter, settings.owner, :counters})
      :ok = Application.stop(:blanket)
      refute Process.alive?(heir)
      assert Counter.count(pid) == 1
      Counter.stop(pid, :shutdown)
      assert Table.info(table, :owner) == :none
      assert Table.info(table, :size) == 1
      :ok = Application.start(:blanket)
      {:ok, next} = Counter.start_link(settings)
      assert_receive {:received, _, ^next, ^table}
      assert Counter.count(next) == 2
    end

    test "calls that need it say so, and change nothing" do
      {settings, pid, table} = keep([])
      :ok = Application.stop(:blanket)
      another = Counter.name()

      answers =
        [
          fn -> Blanket.new(Counter, settings.owner, settings.table) end,
          fn -> Blanket.new(Counter, another, {:t, []}) end,
          fn -> Blanket.claim_table(another, create_table: {:t, []}) end,
          fn -> Blanket.recover_heir(table) end
        ]
        |> Enum.map(&Task.async/1)
        |> Task.await_many()

      assert Enum.uniq(answers) == [{:error, {:not_started, :blanket}}]
      assert Native.kept({Counter, another, :t}) == nil
      assert Native.kept(another) == nil
      assert Blanket.receive_table(0) == {:error, :transfer_timeout}
      assert Counter.count(pid) == 1
    end

    test "an orphan is not claimed" do
      ref = make_ref()

      {:ok, table} =
        Task.await(Task.async(fn -> Blanket.claim_table(ref, create_table: {:t, []}) end))

      :ok = Application.stop(:blanket)
      assert Blanket.claim_table(ref) == {:error, {:not_started, :blanket}}
      assert Table.info(table, :owner) == :none
    end

    test "a claim during which it was stopped leaves the caller nothing, and is made again" do
      ref = make_ref()

      create = fn ->
        table = Table.new(:t, [])
        Table.insert(table, {:a, 1})
        Application.stop(:blanket)
        {:ok, table}
      end

      assert Blanket.claim_table(ref, create_table: create) == {:error, {:not_started, :blanket}}
      {table, _keep} = Native.kept(ref)
      assert Table.info(table, :owner) == :none
      :ok = Application.start(:blanket)
      assert Blanket.claim_table(ref) == {:ok, table}
      assert Table.tab2list(table) == [a: 1]
    end

    test "a process that waits for it, or for a table, is served when it is back" do
      {settings, pid, table} = keep([])
      :ok = Application.stop(:blanket)
      Counter.stop(pid, :kill)
      parent = self()

      receiving =
        spawn_link(fn ->
          Process.register(self(), settings.owner)
          send(parent, {:got, Blanket.receive_table(:counters, :infinity)})
        end)

      eventually(fn -> Rendezvous.find(receiving) end)
      creating = Task.async(fn -> Blanket.new(Counter, Counter.name(), {:t, []}) end)
      eventually(fn -> Rendezvous.find(creating.pid) end)
      :ok = Application.start(:blanket)
      assert {:ok, heir} = Task.await(creating)
      assert Process.alive?(heir)
      assert_receive {:got, {:ok, ^table}}
    end

    test "an owner may abandon its table" do
      parent = self()

      owner =
        spawn(fn ->
          {:ok, table} = Blanket.claim_table(:to_be_abandoned, create_table: {:t, []})
          send(parent, {:claimed, table})
          receive do: (:abandon -> send(parent, {:abandoned, Blanket.abandon_table(table)}))
          receive do: (:never -> :ok)
        end)

      assert_receive {:claimed, table}
      :ok = Application.stop(:blanket)
      send(owner, :abandon)
      assert_receive {:abandoned, :ok}
      :ok = Application.start(:blanket)
      assert Heir.whereis(:to_be_abandoned) == nil
      Counter.stop(owner, :kill)
      assert Table.info(table) == :undefined
    end
  end
end

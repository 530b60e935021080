defmodule Blanket.HeirTest do
  use ExUnit.Case, async: true

  import Blanket.Test.Eventually

  alias Blanket.{Heir, Native, Rendezvous, Table}
  alias Blanket.Test.Counter

  @moduletag :capture_log

  # An owner that receives its table, counts once and does what it is told.
  defp start_owner(name, opts \\ []) do
    parent = self()
    which = Keyword.get(opts, :receive, fn -> Blanket.receive_table() end)

    spawn(fn ->
      parent_monitor = Process.monitor(parent)
      Process.register(self(), name)
      send(parent, {:registered, self()})
      answer = which.()

      count =
        with {:ok, table} <- answer, do: Table.update_counter(table, :owners, 1, {:owners, 0})

      send(parent, {:owner, self(), answer, count})
      receive do: ({:DOWN, ^parent_monitor, _, _, _} -> :ok)
    end)
  end

  defp new(name, opts \\ []) do
    {:ok, heir} = Blanket.new(Blanket, name, {:t, [:public]}, opts)
    heir
  end

  defp ref(name), do: {Blanket, name, :t}

  defp kill(pid), do: Counter.stop(pid, :kill)

  defp await_rendezvous(pid), do: eventually(fn -> Rendezvous.find(pid) end)

  setup do
    {:ok, name: Counter.name()}
  end

  describe "the owner is killed" do
    test "between new and start", %{name: name} do
      parent = self()

      spawn(fn ->
        new(name, &(Table.insert(&1, {:owners, 41}) && :ok))
        send(parent, :created)
        Process.exit(self(), :kill)
      end)

      assert_receive :created
      new(name, fn _table -> flunk("populated twice") end)
      owner = start_owner(name)
      assert_receive {:owner, ^owner, {:ok, _}, 42}
    end

    test "before it receives", %{name: name} do
      heir = new(name)
      owner = start_owner(name, receive: fn -> receive do: (:never -> :ok) end)
      assert_receive {:registered, ^owner}
      kill(owner)
      owner = start_owner(name)
      assert_receive {:owner, ^owner, {:ok, _}, 1}
      assert Heir.whereis(ref(name)) == heir
    end

    test "while it receives", %{name: name} do
      heir = new(name)
      :sys.suspend(heir)
      owner = start_owner(name)
      await_rendezvous(owner)
      kill(owner)
      next = start_owner(name)
      await_rendezvous(next)
      :sys.resume(heir)
      assert_receive {:owner, ^next, {:ok, _}, 1}
    end

    test "when the offer is on its way", %{name: name} do
      heir = new(name)
      parent = self()
      owner = start_owner(name, receive: fn -> Rendezvous.wait(:any, &offered(&1, parent)) end)
      await_rendezvous(owner)
      send(heir, :look)
      assert_receive {:offered, ^owner}
      kill(owner)
      next = start_owner(name)
      assert_receive {:owner, ^next, {:ok, _}, 1}
    end

    # Takes the offer and does nothing with it.
    defp offered(alias, parent) do
      receive do
        {^alias, :offer, _ref, _table} ->
          send(parent, {:offered, self()})
          receive do: (:never -> :ok)
      end
    end

    test "when it has claimed, before the heir knows", %{name: name} do
      heir = new(name)
      {table, _} = Native.kept(ref(name))
      :sys.suspend(heir)

      owner =
        start_owner(name,
          receive: fn -> with(:ok <- Native.claim(table, self()), do: {:ok, table}) end
        )

      assert_receive {:owner, ^owner, {:ok, ^table}, 1}
      kill(owner)
      :sys.resume(heir)
      next = start_owner(name)
      assert_receive {:owner, ^next, {:ok, ^table}, 2}
    end

    test "at a random moment, many times", %{name: name} do
      new(name)

      received =
        Enum.count(1..300, fn n ->
          owner = start_owner(name)
          assert_receive {:registered, ^owner}
          for _ <- 1..:rand.uniform(n * 20), do: :erlang.bump_reductions(1)
          kill(owner)

          receive do
            {:owner, ^owner, {:ok, _}, _count} -> true
          after
            0 -> false
          end
        end)

      owner = start_owner(name)
      assert_receive {:owner, ^owner, {:ok, _}, count}
      # One may have counted and been killed before it said so.
      assert count > received
    end
  end

  test "an owner that claims is killed at a random moment, many times", %{name: name} do
    claim = fn -> Blanket.claim_table(name, create_table: {name, [:named_table, :private]}) end

    received =
      Enum.count(1..300, fn n ->
        owner = start_owner(name, receive: claim)
        assert_receive {:registered, ^owner}
        for _ <- 1..:rand.uniform(n * 20), do: :erlang.bump_reductions(1)
        if rem(n, 3) == 0, do: kill_heir(name)
        kill(owner)

        receive do
          {:owner, ^owner, {:ok, ^name}, _count} -> true
        after
          0 -> false
        end
      end)

    owner = start_owner(name, receive: claim)
    assert_receive {:owner, ^owner, {:ok, ^name}, count}
    assert count > received
    {:ok, heir} = Heir.find_or_start(name)
    assert %{table: table} = :sys.get_state(heir)
    assert Table.whereis(name) == table
  end

  defp kill_heir(ref) do
    with heir when is_pid(heir) <- Heir.whereis(ref), do: Process.exit(heir, :kill)
  end

  describe "the heir is killed" do
    test "while the owner works", %{name: name} do
      heir = new(name)
      owner = start_owner(name)
      assert_receive {:owner, ^owner, {:ok, _}, 1}
      kill(heir)
      kill(owner)
      owner = start_owner(name)
      assert_receive {:owner, ^owner, {:ok, _}, 2}
    end

    test "after the owner", %{name: name} do
      heir = new(name)
      owner = start_owner(name)
      assert_receive {:owner, ^owner, {:ok, _}, 1}
      kill(owner)
      kill(heir)
      owner = start_owner(name)
      assert_receive {:owner, ^owner, {:ok, _}, 2}
    end

    test "together with the owner, many times", %{name: name} do
      new(name)

      for n <- 1..100 do
        owner = start_owner(name)
        assert_receive {:owner, ^owner, {:ok, _}, ^n}
        heir = find(ref(name))
        if rem(n, 2) == 0, do: Process.exit(heir, :kill)
        Process.exit(owner, :kill)
        Process.exit(heir, :kill)
        kill(owner)
      end
    end

    # The supervisor may be about to start it.
    defp find(ref) do
      {:ok, heir} = Heir.find_or_start(ref)
      heir
    end

    test "while the owner receives", %{name: name} do
      heir = new(name)
      :sys.suspend(heir)
      owner = start_owner(name)
      await_rendezvous(owner)
      kill(heir)
      assert_receive {:owner, ^owner, {:ok, _}, 1}
    end

    test "while the owner receives, over and over", %{name: name} do
      new(name)

      for n <- 1..100 do
        owner = start_owner(name)
        {:ok, heir} = Heir.find_or_start(ref(name))
        Process.exit(heir, :kill)
        assert_receive {:owner, ^owner, {:ok, _}, ^n}
        kill(owner)
      end
    end

    test "before the owner names it", %{name: name} do
      heir = new(name)
      kill(heir)
      owner = start_owner(name, receive: fn -> Blanket.receive_table(heir) end)
      assert_receive {:owner, ^owner, {:ok, _}, 1}
      kill(owner)
      # The heir that comes after it has heard of the claim.
      eventually(fn -> Rendezvous.ref_of_heir(heir) == :error end)
    end

    test "while new is called", %{name: name} do
      for _ <- 1..100 do
        heir = new(name)
        Process.exit(heir, :kill)
      end

      owner = start_owner(name)
      assert_receive {:owner, ^owner, {:ok, _}, 1}
    end

    test "and the table was abandoned meanwhile: no other comes", %{name: name} do
      parent = self()

      owner =
        start_owner(name,
          receive: fn ->
            {:ok, table} = Blanket.receive_table()
            receive do: (:abandon -> :ok)
            send(parent, Blanket.abandon_table(table))
            {:ok, table}
          end
        )

      heir = new(name)
      :sys.suspend(heir)
      :sys.resume(heir)
      send(owner, :abandon)
      assert_receive :ok
      assert_receive {:owner, ^owner, {:ok, table}, 1}
      refute Process.alive?(heir)
      assert Heir.whereis(ref(name)) == nil
      kill(owner)
      assert Table.info(table) == :undefined
    end
  end

  test "its stale pids are forgotten at the next hand-over", %{name: name} do
    heirs =
      for _ <- 1..5 do
        heir = new(name)
        kill(heir)
        heir
      end

    last = new(name)
    assert Enum.all?(heirs, &(Rendezvous.ref_of_heir(&1) == {:ok, ref(name)}))
    owner = start_owner(name)
    assert_receive {:owner, ^owner, {:ok, _}, 1}
    :sys.get_state(last)
    assert Enum.all?(heirs, &(Rendezvous.ref_of_heir(&1) == :error))
    assert Rendezvous.ref_of_heir(last) == {:ok, ref(name)}
  end

  test "the rows of processes that were killed while they waited do not pile up" do
    killed =
      for _ <- 1..200 do
        pid = spawn(fn -> Blanket.receive_table(:infinity) end)
        await_rendezvous(pid)
        kill(pid)
        pid
      end

    # Whoever comes takes away those that follow its own row.
    for _ <- 1..20 do
      coming = fn -> Rendezvous.wait(:any, fn _alias -> Table.next(Rendezvous, self()) end) end
      refute Task.await(Task.async(coming)) in killed
    end
  end

  test "it ends when its table is deleted, by its owner or another", %{name: name} do
    heir = new(name)
    {:ok, table} = Blanket.claim_table(name, create_table: {:t, [:public]})
    other = Heir.whereis(name)
    {orphan, _} = Native.kept(ref(name))

    for {heir, table} <- [{heir, orphan}, {other, table}] do
      monitor = Process.monitor(heir)
      Table.delete(table)
      assert_receive {:DOWN, ^monitor, :process, ^heir, :normal}
      assert Rendezvous.ref_of_heir(heir) == :error
    end
  end

  test "a table that its owner gave away comes back when the new owner exits", %{name: name} do
    parent = self()
    heir = new(name)
    gifted = spawn(fn -> receive do: ({:"ETS-TRANSFER", _, _, _} -> send(parent, :gifted)) end)

    owner =
      start_owner(name,
        receive: fn ->
          {:ok, table} = Blanket.receive_table()
          # It knows its owner, so nothing but the gift tells it of another.
          :sys.get_state(heir)
          monitor = Process.monitor(gifted)
          Table.give_away(table, gifted, :gift)
          receive do: ({:DOWN, ^monitor, _, _, _} -> Blanket.receive_table())
        end
      )

    assert_receive :gifted
    assert_receive {:owner, ^owner, {:ok, _}, 1}
  end

  test "a call that waits for it to settle waits no longer than it may", %{name: name} do
    heir = new(name, :transient)
    :sys.suspend(heir)
    assert Heir.settle(ref(name), 10) == :ok
    :sys.resume(heir)
    assert Heir.settle(ref(name)) == :ok
  end

  defmodule Slow do
    use Blanket

    @impl Blanket
    def get_owner_pid(parent) do
      send(parent, :asked)
      receive do: (:answer -> nil)
    end
  end

  test "it settles before it asks for the owner" do
    {:ok, heir} = Blanket.new(Slow, self(), {:t, []}, :transient)
    assert_receive :asked
    send(heir, :answer)
    assert Heir.settle({Slow, self(), :t}, :infinity) == :ok
    assert_receive :asked
    send(heir, :answer)
  end

  describe "a restart storm" do
    for {finding, start} <- [name: :by_name, registry: :by_registry] do
      test "of 1,000 owners found by #{finding}: each gets its own table back" do
        {owner, register} = apply(__MODULE__, unquote(start), [Counter.name()])
        parent = self()

        storm = fn ->
          pids =
            for n <- 1..1000 do
              spawn(fn ->
                Process.monitor(parent)
                register.(n)
                {:ok, table} = Blanket.receive_table(60_000)
                send(parent, {:count, n, Table.update_counter(table, n, 1, {n, 0})})
                receive do: ({:DOWN, _, _, _, _} -> :ok)
              end)
            end

          counts =
            for _ <- pids, into: %{} do
              assert_receive {:count, n, count}, 60_000
              {n, count}
            end

          {pids, counts}
        end

        for n <- 1..1000, do: {:ok, _} = Blanket.new(Blanket, owner.(n), {:t, [:private]})

        Enum.reduce(1..3, [], fn round, former ->
          monitors = for pid <- former, do: {Process.exit(pid, :kill), Process.monitor(pid)}
          for {_, monitor} <- monitors, do: assert_receive({:DOWN, ^monitor, _, _, _})
          {pids, counts} = storm.()
          assert counts == Map.new(1..1000, &{&1, round})
          pids
        end)
        |> Enum.each(&kill/1)

        for n <- 1..1000 do
          {table, _} = Native.kept(ref(owner.(n)))
          assert {:ok, ref} = Native.unkeep(table)
          Heir.stop(ref)
        end
      end
    end

    def by_name(prefix) do
      owner = &:"#{prefix}_#{&1}"
      {owner, fn n -> Process.register(self(), owner.(n)) end}
    end

    def by_registry(registry) do
      start_supervised!({Registry, keys: :unique, name: registry})

      {&{:via, Registry, {registry, &1}},
       fn n -> {:ok, _} = Registry.register(registry, n, nil) end}
    end
  end
end

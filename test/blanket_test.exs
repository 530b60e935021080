defmodule BlanketTest do
  use ExUnit.Case, async: true

  import Blanket.Test.Eventually

  alias Blanket.{Heir, Native, Table}
  alias Blanket.Test.Counter

  doctest Blanket

  @moduletag :capture_log

  # A supervisor that restarts its children however often they are killed.
  defp supervise(settings) do
    {:ok, supervisor} =
      start_supervised(%{
        id: settings.owner,
        start:
          {Supervisor, :start_link,
           [[{Counter, settings}], [strategy: :one_for_one, max_restarts: 1_000_000]]},
        type: :supervisor
      })

    supervisor
  end

  defp received(owner) do
    assert_receive {:received, ^owner, pid, table}, 5000
    {pid, table}
  end

  # Runs `fun` in a process of its own and waits for its end.
  defp in_process(fun) do
    {pid, monitor} = spawn_monitor(fun)
    assert_receive {:DOWN, ^monitor, :process, ^pid, reason}, 5000
    reason
  end

  describe "an owner that is killed again and again" do
    test "finds every count in its private table" do
      settings = Counter.settings()
      supervise(settings)

      for n <- 1..50 do
        {pid, table} = received(settings.owner)
        assert Table.info(table, :owner) == pid
        assert Counter.count(pid) == n
        Counter.stop(pid, :kill)
      end
    end

    test "gets a named table by its name" do
      name = Counter.name()
      settings = Counter.settings(table: {name, [:named_table, :protected]})
      supervise(settings)

      for n <- 1..3 do
        assert {pid, ^name} = received(settings.owner)
        assert Counter.count(pid) == n
        assert Table.lookup(name, :calls) == [calls: n]
        Counter.stop(pid, :kill)
      end
    end

    for reason <- [:normal, :shutdown, {:shutdown, :tired}, :kill, :crash] do
      test "is followed after #{inspect(reason)}" do
        settings = Counter.settings()
        supervise(settings)
        {pid, table} = received(settings.owner)
        assert Counter.count(pid) == 1
        Counter.stop(pid, unquote(Macro.escape(reason)))
        assert {pid, ^table} = received(settings.owner)
        assert Counter.count(pid) == 2
      end
    end
  end

  describe "an owner is found by" do
    defmodule Group do
      use Blanket

      @impl Blanket
      def get_owner_pid(group), do: List.first(:pg.get_local_members(__MODULE__, group))
    end

    defmodule Own do
      use Blanket

      @impl Blanket
      def get_owner_pid({registry, key}), do: Agent.get(registry, & &1[key])
    end

    defp survives(settings) do
      settings = Counter.settings(settings)
      supervise(settings)
      {pid, table} = received(settings.owner)
      assert Counter.count(pid) == 1
      Counter.stop(pid, :kill)
      assert {pid, ^table} = received(settings.owner)
      assert Counter.count(pid) == 2
    end

    test "Process.register/2" do
      survives(owner: Counter.name())
    end

    test "Registry" do
      registry = Counter.name()
      start_supervised!({Registry, keys: :unique, name: registry})

      survives(
        owner: {:via, Registry, {registry, "key"}},
        register: fn -> {:ok, _} = Registry.register(registry, "key", nil) end
      )
    end

    test ":global" do
      name = {__MODULE__, make_ref()}

      survives(
        owner: {:global, name},
        register: fn -> :yes = :global.register_name(name, self()) end
      )
    end

    test ":via a module" do
      name = {__MODULE__, make_ref()}

      survives(
        owner: {:via, :global, name},
        register: fn -> :yes = :global.register_name(name, self()) end
      )
    end

    test ":pg" do
      start_supervised!(%{id: :pg, start: {:pg, :start_link, [Group]}})

      survives(
        owner: "group",
        module: Group,
        register: fn -> :ok = :pg.join(Group, "group", self()) end
      )
    end

    test "a get_owner_pid/1 of the user's own" do
      registry = start_supervised!({Agent, fn -> %{} end})

      survives(
        owner: {registry, :key},
        module: Own,
        register: fn ->
          me = self()
          Agent.update(registry, &Map.put(&1, :key, me))
        end
      )
    end

    test "its pid" do
      {:ok, _heir} = Blanket.new(Blanket, self(), {:mine, []})
      assert {:ok, table} = Blanket.receive_table()
      assert Table.info(table, :owner) == self()
    end

    test "no name that nobody, or a port, has" do
      name = Counter.name()
      port = Port.open({:spawn, "cat"}, [])
      Process.register(port, name)
      via = {:via, :global, {__MODULE__, make_ref()}}

      for owner <- [name, Counter.name(), {:global, make_ref()}, via] do
        assert Blanket.get_owner_pid(owner) == nil
        assert Counter.get_owner_pid(owner) == nil
      end

      Port.close(port)
    end

    test "nothing else, unless get_owner_pid/1 is defined for it" do
      assert_raise ArgumentError, ~r/found by "group".*Define get_owner_pid\/1/, fn ->
        Counter.get_owner_pid("group")
      end
    end
  end

  describe "new" do
    test "creates the table with its options and lets nobody own it" do
      {:ok, heir} = Blanket.new(Blanket, self(), {:t, [:bag, :public, keypos: 2]})
      {table, _} = Native.kept({Blanket, self(), :t})
      assert [type: :bag, keypos: 2, owner: :none] = take(table, [:type, :keypos, :owner])
      assert [{^heir, _}] = Registry.lookup(Blanket.Registry, {Blanket, self(), :t})
    end

    test "leaves the caller no right to the table" do
      {:ok, _heir} = Blanket.new(Blanket, self(), {:t, [:private]})
      {table, _} = Native.kept({Blanket, self(), :t})

      for use <- [&Table.lookup/2, &Table.insert/2],
          do: assert_raise(ArgumentError, fn -> use.(table, {1}) end)
    end

    defp take(table, items), do: for(item <- items, do: {item, Table.info(table, item)})

    test "answers the heir of the table that is kept already, and leaves its data" do
      populate = fn table -> Table.insert(table, {:a, 1}) && :ok end
      {:ok, heir} = Blanket.new(Blanket, self(), {:t, [:public]}, populate)
      again = fn _table -> flunk("populated twice") end
      assert Blanket.new(Blanket, self(), {:t, [:public]}, again) == {:ok, heir}
      {:ok, table} = Blanket.receive_table()
      assert Table.tab2list(table) == [a: 1]
      assert Blanket.new(Blanket, self(), {:t, [:public]}, populate: again) == {:ok, heir}
    end

    test "keeps one table when many processes ask at once" do
      owner = self()
      populate = fn table -> Table.insert(table, {:a, 1}) && :ok end
      new = fn -> Blanket.new(Blanket, owner, {:t, []}, populate) end
      answers = 1..20 |> Enum.map(fn _ -> Task.async(new) end) |> Task.await_many()
      assert [{:ok, heir}] = Enum.uniq(answers)
      assert {:ok, table} = Blanket.receive_table(heir)
      assert Table.tab2list(table) == [a: 1]
    end

    test "fills a named table once, also when others ask meanwhile" do
      owner = self()
      name = Counter.name()

      populate = fn table ->
        send(owner, {:populating, self()})
        receive do: (:go_on -> Table.insert(table, {:a, 1}) && :ok)
      end

      new = fn -> Blanket.new(Blanket, owner, {name, [:named_table]}, populate) end
      first = Task.async(new)
      assert_receive {:populating, creator}
      others = for _ <- 1..5, do: Task.async(new)
      for task <- others, do: await_monitor(creation({Blanket, owner, name}), task.pid)
      send(creator, :go_on)
      assert [{:ok, heir}] = [first | others] |> Task.await_many() |> Enum.uniq()
      assert Blanket.receive_table(heir) == {:ok, name}
      assert Table.tab2list(name) == [a: 1]
      refute_received {:populating, _}
    end

    test "creates the table when the process that was about to is killed, or fails" do
      owner = self()
      name = Counter.name()

      for ending <- [:kill, {:error, :no}] do
        first =
          spawn(fn ->
            Blanket.new(Blanket, owner, {name, [:named_table]}, fn _table ->
              send(owner, :populating)
              receive do: (answer -> answer)
            end)
          end)

        assert_receive :populating
        second = Task.async(fn -> Blanket.new(Blanket, owner, {name, [:named_table]}) end)
        await_monitor(creation({Blanket, owner, name}), second.pid)
        if ending == :kill, do: Process.exit(first, :kill), else: send(first, ending)
        assert {:ok, _heir} = Task.await(second)
        assert Blanket.receive_table() == {:ok, name}
        Table.delete(name)
      end
    end

    test "does not wait for itself" do
      new = &Blanket.new(Blanket, self(), {:t, []}, &1)
      insert = fn table -> Table.insert(table, {:a, 1}) && :ok end

      {:ok, heir} =
        new.(fn outer ->
          send(self(), {:outer, outer})
          with {:ok, _heir} <- new.(insert), do: :ok
        end)

      assert {:ok, table} = Blanket.receive_table(heir)
      assert Table.tab2list(table) == [a: 1]
      assert_received {:outer, outer}
      assert Table.info(outer) == :undefined
    end

    defp creation(ref) do
      [{creation, _creator}] = Registry.lookup(Blanket.Creating, ref)
      creation
    end

    defp await_monitor(watched, by) do
      eventually(fn -> by in (watched |> Process.info(:monitored_by) |> elem(1)) end)
    end

    test "overrides an heir among the options" do
      {:ok, _} = Blanket.new(Blanket, self(), {:t, [{:heir, self(), :data}]})
      {:ok, table} = Blanket.receive_table()
      assert Table.info(table, :heir) == :none
    end

    test "raises for options that are not valid, and keeps nothing" do
      assert_raise ArgumentError, fn -> Blanket.new(Blanket, self(), {:t, [:no_such_option]}) end
      assert_raise ArgumentError, fn -> Blanket.new(Blanket, self(), {"t", []}) end

      assert_raise ArgumentError, ~r/knows no option {:populate, 1}/, fn ->
        Blanket.new(Blanket, self(), {:t, []}, populate: 1)
      end

      assert_raise ArgumentError, ~r/Enum does not export get_owner_pid\/1/, fn ->
        Blanket.new(Enum, self(), {:t, []})
      end

      assert Native.kept({Blanket, self(), :t}) == nil
    end

    test "raises when the name of the table is taken by another" do
      name = Counter.name()
      Table.new(name, [:named_table])
      assert_raise ArgumentError, fn -> Blanket.new(Blanket, self(), {name, [:named_table]}) end
    end
  end

  describe "populate" do
    defp populated(populate), do: Blanket.new(Blanket, self(), {:t, []}, populate)

    defp nothing_kept(table) do
      assert Table.info(table) == :undefined
      assert Native.kept({Blanket, self(), :t}) == nil
    end

    test "that answers an error deletes the table" do
      parent = self()
      assert populated(fn table -> send(parent, table) && {:error, :why} end) == {:error, :why}
      assert_received table
      nothing_kept(table)
    end

    test "that answers something else deletes the table" do
      parent = self()
      assert populated(fn table -> send(parent, table) && :fine end) == {:error, :fine}
      assert_received table
      nothing_kept(table)
    end

    test "that raises, throws or exits deletes the table, and the caller gets the exception" do
      parent = self()

      assert_raise RuntimeError, "no", fn ->
        populated(fn t -> send(parent, t) && raise("no") end)
      end

      assert catch_throw(populated(fn t -> send(parent, t) && throw(:no) end)) == :no
      assert catch_exit(populated(fn t -> send(parent, t) && exit(:no) end)) == :no

      for _ <- 1..3 do
        assert_received table
        nothing_kept(table)
      end
    end

    test "that takes long keeps nobody from anything" do
      parent = self()

      slow =
        Task.async(fn ->
          Blanket.new(Blanket, parent, {:slow, []}, fn table ->
            send(parent, :populating)
            assert_receive :go_on, 5000
            Table.insert(table, {:a, 1})
            :ok
          end)
        end)

      assert_receive :populating
      {:ok, _} = Blanket.new(Blanket, self(), {:quick, []})
      assert {:ok, _} = Blanket.receive_table(:quick)
      send(slow.pid, :go_on)
      assert {:ok, _heir} = Task.await(slow)
      assert {:ok, table} = Blanket.receive_table()
      assert Table.tab2list(table) == [a: 1]
    end

    test "whose process is killed leaves nothing behind" do
      parent = self()

      {pid, monitor} =
        spawn_monitor(fn ->
          Blanket.new(Blanket, parent, {:t, []}, fn table ->
            send(parent, table)
            Process.sleep(:infinity)
          end)
        end)

      assert_receive table
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, _, _, _}
      nothing_kept(table)
    end
  end

  describe "receive_table" do
    test "answers an error when no table comes in time" do
      assert Blanket.receive_table(0) == {:error, :transfer_timeout}
      assert Blanket.receive_table(10) == {:error, :transfer_timeout}
      assert Blanket.receive_table(:no_such_table, 10) == {:error, :transfer_timeout}
    end

    test "refuses at once what is no timeout and names no table" do
      for timeout <- [-1, 1.5, nil, "1"] do
        assert_raise ArgumentError, ~r/timeout #{inspect(timeout)} is not/, fn ->
          Blanket.receive_table(:t, timeout)
        end
      end

      assert_raise ArgumentError, ~r/timeout -1 is not/, fn -> Blanket.receive_table(-1) end

      for other <- ["t", {:ok, self()}, 1.5] do
        assert_raise ArgumentError, ~r/names no table/, fn -> Blanket.receive_table(other) end
      end
    end

    test "takes no table from a process that is not the owner's" do
      {:ok, heir} = Blanket.new(Blanket, self(), {:t, []})
      parent = self()

      for which <- [[0], [heir, 50], [:t, 50]] do
        in_process(fn -> send(parent, apply(Blanket, :receive_table, which)) end)
        assert_received {:error, :transfer_timeout}
      end

      assert {:ok, _table} = Blanket.receive_table()
    end

    test "waits without end for :infinity" do
      parent = self()
      owner = spawn_link(fn -> send(parent, {:got, Blanket.receive_table(:infinity)}) end)
      wait_at_rendezvous(owner)
      {:ok, _} = Blanket.new(Blanket, owner, {:t, []})
      assert_receive {:got, {:ok, _table}}
    end

    test "leaves nothing in the mailbox" do
      for name <- [:a, :b, :c], do: {:ok, _} = Blanket.new(Blanket, self(), {name, []})
      for _ <- 1..3, do: assert({:ok, _} = Blanket.receive_table())
      assert {:error, :transfer_timeout} = Blanket.receive_table(10)
      refute_received _
    end

    test "hands over the tables of one owner one a call, each once" do
      names = [:a, :b, :c]
      for name <- names, do: {:ok, _} = Blanket.new(Blanket, self(), {name, []})
      tables = for _ <- names, do: elem({:ok, _} = Blanket.receive_table(), 1)
      assert tables |> Enum.map(&Table.info(&1, :name)) |> Enum.sort() == names
    end

    test "hands over the table that is named, by heir or name" do
      {:ok, a} = Blanket.new(Blanket, self(), {:a, []})
      {:ok, _} = Blanket.new(Blanket, self(), {:b, []})
      {:ok, _} = Blanket.new(Blanket, self(), {:c, []})
      assert {:ok, b} = Blanket.receive_table(:b)
      assert {:ok, c} = Blanket.receive_table(:c, 1000)
      assert {:ok, a} = Blanket.receive_table(a)
      assert Enum.map([a, b, c], &Table.info(&1, :name)) == [:a, :b, :c]
      {:ok, _} = Blanket.new(Blanket, self(), {:d, []})
      {d, _} = Native.kept({Blanket, self(), :d})
      assert Blanket.receive_table(d) == {:ok, d}
    end

    test "takes no other table than the named one" do
      parent = self()

      owner =
        spawn_link(fn ->
          receive do: ({:receive, heir} -> send(parent, {:got, Blanket.receive_table(heir)}))
          receive do: (:exit -> :ok)
        end)

      {:ok, meant} = Blanket.new(Blanket, owner, {:meant, []})
      {:ok, other} = Blanket.new(Blanket, owner, {:other, []})
      :sys.suspend(meant)
      send(owner, {:receive, meant})
      wait_at_rendezvous(owner)
      send(other, :look)
      :sys.get_state(other)
      :sys.resume(meant)
      assert_receive {:got, {:ok, table}}
      assert Table.info(table, :name) == :meant
    end

    test "finds its table among the owners of several names" do
      name = {__MODULE__, make_ref()}
      :yes = :global.register_name(name, self())
      {:ok, _} = Blanket.new(Blanket, self(), {:by_pid, []})
      {:ok, _} = Blanket.new(Blanket, {:global, name}, {:by_name, []})
      # The heir that waits for this pid is told first, and is not the one.
      assert {:ok, table} = Blanket.receive_table(:by_name)
      assert Table.info(table, :name) == :by_name
    end

    test "waits on when another has claimed what it is offered" do
      parent = self()
      ref = make_ref()
      {:ok, taken} = Blanket.claim_table(ref, create_table: {:taken, []})

      owner =
        spawn_link(fn ->
          send(parent, {:got, Blanket.receive_table()})
          receive do: (:exit -> :ok)
        end)

      wait_at_rendezvous(owner)
      {alias, :any} = Blanket.Rendezvous.find(owner)
      send(alias, {alias, :offer, ref, taken})
      {:ok, _} = Blanket.new(Blanket, owner, {:t, []})
      assert_receive {:got, {:ok, table}}
      assert Table.info(table, :name) == :t
      assert Table.info(taken, :owner) == self()
    end

    test "gives an owner of two tables both back, each time it is killed" do
      owner = Counter.name()
      parent = self()

      for n <- 1..10 do
        pid =
          spawn(fn ->
            {:ok, _} = Blanket.new(Blanket, owner, {:first, [:private]})
            {:ok, _} = Blanket.new(Blanket, owner, {:second, [:private]})
            Process.register(self(), owner)
            {:ok, second} = Blanket.receive_table(:second)
            {:ok, first} = Blanket.receive_table(:first)
            counts = for table <- [first, second], do: Table.update_counter(table, :n, 1, {:n, 0})
            send(parent, {:counted, for(t <- [first, second], do: Table.info(t, :name)), counts})
            receive do: (:never -> :ok)
          end)

        assert_receive {:counted, [:first, :second], [^n, ^n]}
        Counter.stop(pid, :kill)
      end
    end

    test "waits for a table that is created later" do
      parent = self()
      owner = spawn_link(fn -> send(parent, {:got, Blanket.receive_table()}) end)
      wait_at_rendezvous(owner)
      {:ok, _} = Blanket.new(Blanket, owner, {:t, []})
      assert_receive {:got, {:ok, _table}}
    end

    test "waits until the former owner is gone" do
      name = Counter.name()
      parent = self()

      former =
        spawn_link(fn ->
          Process.register(self(), name)
          {:ok, table} = Blanket.receive_table()
          Table.insert(table, {:a, 1})
          Process.unregister(name)
          send(parent, :left_its_name)
          receive do: (:exit -> :ok)
        end)

      {:ok, _} = Blanket.new(Blanket, name, {:t, []})
      assert_receive :left_its_name

      next =
        spawn_link(fn ->
          Process.register(self(), name)
          {:ok, table} = Blanket.receive_table()
          send(parent, {:got, Table.tab2list(table)})
        end)

      wait_at_rendezvous(next)
      send(former, :exit)
      assert_receive {:got, [a: 1]}
    end

    # The row is written before the heirs are told.
    defp wait_at_rendezvous(pid), do: eventually(fn -> Blanket.Rendezvous.find(pid) end)

    test "an owner that never comes back loses nothing" do
      {:ok, heir} =
        Blanket.new(Blanket, :never_comes, {:t, []}, &(Table.insert(&1, {:a, 1}) && :ok))

      send(heir, :look)
      :sys.get_state(heir)
      {table, _} = Native.kept({Blanket, :never_comes, :t})
      assert [size: 1, owner: :none] = take(table, [:size, :owner])
    end
  end

  describe "a get_owner_pid/1" do
    defmodule Broken do
      use Blanket

      @impl Blanket
      def get_owner_pid(:raises), do: raise("broken")

      def get_owner_pid({:slow, gate}), do: Agent.get(gate, & &1, :infinity)
    end

    test "that raises is logged; the heir goes on and others are not held up" do
      import ExUnit.CaptureLog

      log =
        capture_log(fn ->
          {:ok, heir} = Blanket.new(Broken, :raises, {:t, []})

          for _ <- 1..5 do
            send(heir, :look)
            :sys.get_state(heir)
          end

          assert Heir.whereis({Broken, :raises, :t}) == heir
        end)

      assert log =~ "broken"
      # Once, however often it is asked.
      assert [_, _] = String.split(log, "get_owner_pid(:raises) failed")
    end

    test "that is slow holds up its own table only" do
      gate = start_supervised!({Agent, fn -> nil end})
      :sys.suspend(gate)
      {:ok, slow} = Blanket.new(Broken, {:slow, gate}, {:t, []})
      await_monitor(gate, slow)
      assert {:ok, ^slow} = Blanket.new(Broken, {:slow, gate}, {:t, []})
      {:ok, _} = Blanket.new(Blanket, self(), {:quick, []})
      assert {:ok, quick} = Blanket.receive_table()
      assert Table.info(quick, :name) == :quick

      owner = Task.async(fn -> Blanket.receive_table(:infinity) end)
      wait_at_rendezvous(owner.pid)
      :sys.resume(gate)
      Agent.update(gate, fn nil -> owner.pid end)
      send(slow, :look)
      assert {:ok, table} = Task.await(owner)
      eventually(fn -> Table.info(table, :owner) == :none end)
      assert {:ok, {Broken, {:slow, ^gate}, :t} = ref} = Native.unkeep(table)
      Heir.stop(ref)
    end
  end

  describe "transient" do
    defp transient(opts) do
      settings = Counter.settings(opts: opts)
      {:ok, pid} = Counter.start_link(settings)
      Process.unlink(pid)
      {pid, table} = received(settings.owner)
      assert Counter.count(pid) == 1
      heir = Heir.whereis({Counter, settings.owner, :counters})
      {settings, pid, table, heir}
    end

    for reason <- [:normal, :shutdown, {:shutdown, :done}],
        opts <- [:transient, [:transient], [transient: true]] do
      test "deletes the table after #{inspect(reason)}, given as #{inspect(opts)}" do
        {_settings, pid, table, heir} = transient(unquote(opts))
        monitor = Process.monitor(heir)
        Counter.stop(pid, unquote(Macro.escape(reason)))
        assert_receive {:DOWN, ^monitor, :process, ^heir, :normal}
        assert Table.info(table) == :undefined
      end
    end

    test "is not what a table is without it" do
      for opts <- [[], [transient: false]] do
        {settings, pid, table, _heir} = transient(opts)
        Counter.stop(pid, :normal)
        {:ok, _} = Counter.start_link(settings)
        assert {_pid, ^table} = received(settings.owner)
      end
    end

    for reason <- [:kill, :crash] do
      test "keeps the table after #{inspect(reason)}" do
        {settings, pid, table, _heir} = transient(transient: true)
        Counter.stop(pid, unquote(reason))
        {:ok, _} = Counter.start_link(settings)
        assert {pid, ^table} = received(settings.owner)
        assert Counter.count(pid) == 2
      end
    end

    test "starts anew when the owner is restarted after :normal" do
      settings = Counter.settings(opts: :transient)
      supervise(settings)

      for _ <- 1..50 do
        {pid, _table} = received(settings.owner)
        assert Counter.count(pid) == 1
        # The heir ends, or serves the next table when that is kept before.
        Counter.stop(pid, :normal)
      end
    end

    test "is settled before the next start" do
      {settings, pid, table, heir} = transient(:transient)
      :sys.suspend(heir)
      Counter.stop(pid, :normal)

      new =
        Task.async(fn ->
          Blanket.new(Counter, settings.owner, settings.table, settings.opts)
        end)

      await_monitor(heir, new.pid)
      :sys.resume(heir)
      assert {:ok, next} = Task.await(new)
      assert next != heir
      assert Table.info(table) == :undefined
    end

    test "is settled by an heir that has not been told of the exit yet" do
      {settings, pid, table, heir} = transient(:transient)
      monitor = Process.monitor(heir)
      :sys.suspend(heir)
      ref = {Counter, settings.owner, :counters}
      settling = Task.async(fn -> Heir.settle(ref, :infinity) end)
      eventually(fn -> Process.info(heir, :message_queue_len) > {:message_queue_len, 0} end)
      Counter.stop(pid, :normal)
      :sys.resume(heir)
      assert Task.await(settling) == :ok
      assert Table.info(table) == :undefined
      assert_receive {:DOWN, ^monitor, :process, ^heir, :normal}
    end

    test "keeps the table when another has claimed it before the heir learns the reason" do
      {settings, pid, table, heir} = transient(:transient)
      :sys.suspend(heir)
      Counter.stop(pid, :normal)
      parent = self()

      claimed =
        spawn(fn ->
          send(parent, Native.claim(table, self()))
          receive do: (:never -> :ok)
        end)

      assert_receive :ok
      :sys.resume(heir)
      :sys.get_state(heir)
      Counter.stop(claimed, :kill)
      {:ok, _} = Counter.start_link(settings)
      assert {pid, ^table} = received(settings.owner)
      assert Counter.count(pid) == 2
    end

    test "keeps the table when the heir is killed before it learns the reason" do
      {settings, pid, table, heir} = transient(:transient)
      :sys.suspend(heir)
      Counter.stop(pid, :normal)
      Process.exit(heir, :kill)
      {:ok, _} = Counter.start_link(settings)
      assert {pid, ^table} = received(settings.owner)
      assert Counter.count(pid) == 2
    end

    test "knows the reason of an owner that lives for a moment only" do
      for _ <- 1..50 do
        name = Counter.name()
        {:ok, heir} = Blanket.new(Blanket, name, {:t, []}, :transient)
        monitor = Process.monitor(heir)

        in_process(fn ->
          Process.register(self(), name)
          {:ok, _} = Blanket.receive_table()
        end)

        assert_receive {:DOWN, ^monitor, :process, ^heir, :normal}
        assert Native.kept({Blanket, name, :t}) == nil
      end
    end
  end

  describe "abandon_table" do
    test "ends the heir; the table dies with its owner" do
      parent = self()

      in_process(fn ->
        {:ok, heir} = Blanket.new(Blanket, self(), {:t, []})
        {:ok, table} = Blanket.receive_table()
        assert Blanket.abandon_table(table, heir) == :ok
        refute Process.alive?(heir)
        assert Table.insert(table, {:a, 1})
        send(parent, table)
      end)

      assert_received table
      assert Table.info(table) == :undefined
    end

    test "takes the heir of before for the heir" do
      {:ok, heir} = Blanket.new(Blanket, self(), {:t, []})
      Counter.stop(heir, :kill)
      {:ok, table} = Blanket.receive_table()
      :sys.get_state(Heir.whereis({Blanket, self(), :t}))
      assert Blanket.abandon_table(table, heir) == :ok
      assert Heir.whereis({Blanket, self(), :t}) == nil
    end

    test "frees what the table was kept as" do
      for _ <- 1..20 do
        {:ok, heir} = Blanket.new(Blanket, self(), {:t, []}, &(Table.insert(&1, {:a, 1}) && :ok))
        {:ok, table} = Blanket.receive_table(heir)
        assert Table.tab2list(table) == [a: 1]
        assert Table.insert(table, {:b, 2})
        assert Blanket.abandon_table(table) == :ok
      end
    end

    test "frees the name when the table is gone" do
      name = Counter.name()

      for _ <- 1..20 do
        assert :normal =
                 in_process(fn ->
                   {:ok, _} = Blanket.new(Blanket, self(), {name, [:named_table]})
                   {:ok, ^name} = Blanket.receive_table()
                   :ok = Blanket.abandon_table(name)
                   Table.insert(name, {:a, 1})
                 end)
      end

      assert Table.whereis(name) == :undefined
    end

    test "after the owner deleted the table, the same can be kept again" do
      for _ <- 1..20 do
        {:ok, heir} = Blanket.new(Blanket, self(), {:t, []})
        {:ok, table} = Blanket.receive_table(heir)
        assert Table.info(table, :size) == 0
        Table.insert(table, {:a, 1})
        Table.delete(table)
      end
    end

    test "leaves an heir to each of many tables that are the same, one after the other" do
      ref = make_ref()

      for n <- 1..200 do
        {:ok, table} = Blanket.claim_table(ref, create_table: {:t, []})
        Table.insert(table, {:n, n})
        if rem(n, 2) == 0, do: Table.delete(table), else: :ok = Blanket.abandon_table(table)
      end

      {:ok, table} = Blanket.claim_table(ref, create_table: {:t, []})
      assert Table.info(table, :size) == 0
      {:ok, heir} = Heir.find_or_start(ref)
      assert %{table: ^table} = :sys.get_state(heir)
      assert {:ok, ^heir} = Heir.find_or_start(ref)
    end

    test "is for the owner only" do
      {:ok, heir} = Blanket.new(Blanket, self(), {:t, []})
      {table, _} = Native.kept({Blanket, self(), :t})
      assert Blanket.abandon_table(table) == {:error, :not_owner}
      {:ok, table} = Blanket.receive_table()
      parent = self()
      in_process(fn -> send(parent, Blanket.abandon_table(table, heir)) end)
      assert_received {:error, :not_owner}
      assert Heir.whereis({Blanket, self(), :t}) == heir
    end

    test "answers why it did nothing" do
      {:ok, _heir} = Blanket.new(Blanket, self(), {:t, []})
      {:ok, other} = Blanket.new(Blanket, self(), {:other, []})
      {:ok, table} = Blanket.receive_table(:t)
      assert Blanket.abandon_table(table, other) == {:error, :not_heir}
      assert Blanket.abandon_table(table, self()) == {:error, :not_heir}

      for no_heir <- [:other, make_ref()],
          do: assert(Blanket.abandon_table(table, no_heir) == {:error, :not_heir})

      assert Blanket.abandon_table(:no_table) == {:error, {:table_not_found, :no_table}}
      assert Blanket.abandon_table(Table.new(:t, [])) == {:error, :not_kept}
    end
  end

  describe "claim_table" do
    def create_table(opts) do
      send(self(), {:create_table, opts})
      {:ok, Table.new(:created, [:private])}
    end

    defp claim_in_process(ref, opts) do
      parent = self()

      spawn(fn ->
        Process.monitor(parent)
        answer = Blanket.claim_table(ref, opts)
        with {:ok, table} <- answer, do: Table.update_counter(table, :claims, 1, {:claims, 0})
        send(parent, {:claimed, self(), answer})
        receive do: ({:DOWN, _, _, ^parent, _} -> :ok)
      end)

      assert_receive {:claimed, pid, answer}
      {pid, answer}
    end

    test "creates the table by definition, function or module" do
      opts = [create_table: __MODULE__, mine: 1]
      assert {:ok, a} = Blanket.claim_table(make_ref(), opts)
      assert_received {:create_table, ^opts}
      assert {:ok, b} = Blanket.claim_table(make_ref(), create_table: {:b, [:bag]})
      create = fn -> {:ok, Table.new(:c, [])} end
      assert {:ok, c} = Blanket.claim_table(make_ref(), create_table: create)
      assert Enum.map([a, b, c], &Table.info(&1, :name)) == [:created, :b, :c]
    end

    test "claims it every time after" do
      ref = {:any, "term", make_ref()}
      opts = [create_table: {:t, [:public]}]

      for n <- 1..10 do
        {pid, {:ok, table}} = claim_in_process(ref, opts)
        assert Table.lookup(table, :claims) == [claims: n]
        assert {_, {:error, :already_owned}} = claim_in_process(ref, opts)
        Counter.stop(pid, :kill)
        assert Table.info(table, :owner) == :none
      end
    end

    test "has one winner when many claim at once" do
      ref = make_ref()
      {pid, {:ok, table}} = claim_in_process(ref, create_table: {:t, [:public]})
      Counter.stop(pid, :kill)
      parent = self()

      for _ <- 1..20 do
        spawn_link(fn ->
          send(parent, {:answer, self(), Blanket.claim_table(ref)})
          receive do: (:exit -> :ok)
        end)
      end

      answers = for _ <- 1..20, do: assert_receive({:answer, _, _})

      assert [{:answer, winner, {:ok, ^table}}] =
               Enum.filter(answers, &match?({_, _, {:ok, _}}, &1))

      assert Enum.count(answers, &match?({_, _, {:error, :already_owned}}, &1)) == 19
      assert Table.info(table, :owner) == winner
    end

    test "creates one table when many claim at once" do
      ref = make_ref()
      parent = self()

      for _ <- 1..20 do
        spawn_link(fn ->
          send(parent, {:answer, Blanket.claim_table(ref, create_table: {:t, []})})
          receive do: (:exit -> :ok)
        end)
      end

      answers = for _ <- 1..20, do: assert_receive({:answer, _})
      assert Enum.count(answers, &match?({:answer, {:ok, _}}, &1)) == 1
      assert Enum.count(answers, &(&1 == {:answer, {:error, :already_owned}})) == 19
    end

    test "creates one named table when many claim at once" do
      parent = self()
      ref = name = Counter.name()

      create = fn ->
        send(parent, {:creating, self()})
        receive do: (:go_on -> {:ok, Table.new(name, [:named_table])})
      end

      claim = fn ->
        answer = Blanket.claim_table(ref, create_table: create)
        send(parent, {:answer, answer})
        receive do: (:exit -> :ok)
      end

      spawn_link(claim)
      assert_receive {:creating, creator}
      for _ <- 1..5, do: await_monitor(creation(ref), spawn_link(claim))
      send(creator, :go_on)
      answers = for _ <- 1..6, do: assert_receive({:answer, _})
      assert Enum.count(answers, &(&1 == {:answer, {:ok, name}})) == 1
      assert Enum.count(answers, &(&1 == {:answer, {:error, :already_owned}})) == 5
      assert Table.info(name, :owner) == creator
    end

    test "refuses the caller who owns it already" do
      ref = make_ref()
      {:ok, _} = Blanket.claim_table(ref, create_table: {:t, []})
      assert Blanket.claim_table(ref, create_table: {:t, []}) == {:error, :already_owned}
    end

    test "gives no monitor that was not asked for" do
      ref = make_ref()

      {:ok, _} =
        Blanket.claim_table(ref, create_table: {:t, []}, monitor: false, monitor_ref: false)

      Counter.stop(Heir.whereis(ref), :kill)
      refute_received {:DOWN, _, _, _, _}
    end

    test "monitors the heir" do
      ref = make_ref()
      {:ok, _table, monitor} = Blanket.claim_table(ref, create_table: {:t, []}, monitor_ref: true)
      heir = Heir.whereis(ref)
      Process.exit(heir, :kill)
      assert_receive {:DOWN, ^monitor, :process, ^heir, :killed}

      other = make_ref()
      {:ok, _table} = Blanket.claim_table(other, create_table: {:t, []}, monitor: true)
      heir = Heir.whereis(other)
      Process.exit(heir, :kill)
      assert_receive {:DOWN, _, :process, ^heir, :killed}
    end

    test "answers what went wrong" do
      claim = fn create -> Blanket.claim_table(:wrong, create_table: create) end
      assert Blanket.claim_table(:wrong) == {:error, {:table_not_found, :wrong}}
      assert claim.(fn -> {:error, :why} end) == {:error, :why}
      assert claim.(fn -> :what end) == {:error, {:bad_return_value, :what}}
      ets = :ets.new(:t, [])
      assert claim.(fn -> {:ok, ets} end) == {:error, {:bad_return_value, {:ok, ets}}}
      foreign = Task.await(Task.async(fn -> Table.new(:t, [:public, {:heir, :immortal}]) end))
      assert claim.(fn -> {:ok, foreign} end) == {:error, :not_owner}
      assert Table.delete(foreign)
      {:ok, kept} = Blanket.claim_table(make_ref(), create_table: {:t, []})
      assert claim.(fn -> {:ok, kept} end) == {:error, :already_kept}
      assert Table.info(kept, :size) == 0
      assert_raise ArgumentError, ~r/"x" is not/, fn -> claim.("x") end
      assert_raise ArgumentError, fn -> claim.({:t, [:no_such_option]}) end
      assert Native.kept(:wrong) == nil
    end
  end

  test "recover_heir monitors the heir, also when it was just killed" do
    ref = make_ref()
    {:ok, table} = Blanket.claim_table(ref, create_table: {:t, []})
    Counter.stop(Heir.whereis(ref), :kill)
    assert {:ok, monitor} = Blanket.recover_heir(table)
    heir = Heir.whereis(ref)
    Process.exit(heir, :kill)
    assert_receive {:DOWN, ^monitor, :process, _, :killed}
    plain = Table.new(:t, [])
    assert Blanket.recover_heir(plain) == {:error, {:table_not_found, plain}}
    assert Blanket.recover_heir(:no_table) == {:error, {:table_not_found, :no_table}}
  end
end

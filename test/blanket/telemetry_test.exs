defmodule Blanket.TelemetryTest do
  # The stub of :telemetry is taken away for a moment.
  use ExUnit.Case, async: false

  import ExUnit.CaptureLog
  import Blanket.Test.Eventually

  alias Blanket.{Events, Heir, Table}
  alias Blanket.Test.Counter

  doctest Blanket.Telemetry

  @moduletag :capture_log

  setup do
    Logger.delete_module_level(Events)
    on_exit(fn -> Logger.put_module_level(Events, :warning) end)
  end

  defp start_counter(settings) do
    owner = Counter.name("told")
    ref = {Counter, owner, :counters}
    :telemetry.attach(ref)
    settings = Counter.settings([owner: owner] ++ settings)
    {:ok, pid} = Counter.start_link(settings)
    assert_receive {:received, ^owner, ^pid, table}
    {settings, ref, pid, table}
  end

  # A table that waits for its next owner.
  defp orphan do
    ref = {:claimed, make_ref()}
    pid = spawn_link(fn -> {:ok, _} = Blanket.claim_table(ref, create_table: {:t, []}) end)
    eventually(fn -> not Process.alive?(pid) end)
    {table, _keep} = Blanket.Native.kept(ref)
    eventually(fn -> match?(%{owner: nil}, :sys.get_state(Heir.whereis(ref))) end)
    Events.latest()
    :telemetry.attach(ref)
    {ref, table}
  end

  defp claim_and_exit(table, reason) do
    {pid, monitor} =
      spawn_monitor(fn ->
        {:ok, _} = Table.claim(table)
        exit(reason)
      end)

    assert_receive {:DOWN, ^monitor, _, _, ^reason}
    pid
  end

  defp told(event) do
    assert_receive {[:blanket, _, ^event], measurements, metadata}
    {measurements, metadata}
  end

  test "a table that is created, handed over and deleted" do
    {settings, ref, pid, table} = start_counter([])
    name = settings.owner
    parent = self()

    {measurements, metadata} = told(:created)
    assert measurements == %{size: 0}

    assert metadata == %{
             table: table,
             name: :counters,
             kept_as: ref,
             module: Counter,
             owner: name,
             creator: parent
           }

    {measurements, metadata} = told(:handed_over)
    assert %{hand_overs: 1, size: 0, duration: duration} = measurements
    assert duration >= 0
    assert %{from: nil, to: ^pid, reason: nil, via: :receive_table} = metadata

    Counter.count(pid)
    Counter.kill(pid)
    {measurements, metadata} = told(:orphaned)
    assert measurements == %{size: 1}
    assert %{table: ^table, name: :counters, from: ^pid, reason: :killed} = metadata

    {:ok, next} = Counter.start_link(settings)
    {measurements, metadata} = told(:handed_over)
    assert %{hand_overs: 2, size: 1, duration: duration} = measurements
    assert duration > 0
    assert %{from: ^pid, to: ^next, reason: :killed, via: :receive_table} = metadata

    Process.unlink(next)
    Counter.stop(next, :shutdown)
    told(:orphaned)
    {:ok, ^table} = Table.claim(table)
    assert {%{hand_overs: 3}, %{to: ^parent, created: false}} = told(:claimed)
    assert {%{hand_overs: 3}, %{via: :claim, reason: :shutdown, to: ^parent}} = told(:handed_over)

    Table.delete(table)
    {measurements, metadata} = told(:deleted)
    assert measurements == %{}
    assert %{table: ^table, name: :counters, kept_as: ^ref} = metadata
    refute_received {[:blanket | _], _, _}
  end

  test "a transient table goes with its owner" do
    {_settings, _ref, pid, table} = start_counter(opts: :transient)
    told(:created)
    told(:handed_over)
    Process.unlink(pid)
    Counter.stop(pid, :shutdown)
    assert {_, %{table: ^table, from: ^pid, reason: :shutdown}} = told(:deleted)
  end

  test "a table that is claimed, given away and abandoned" do
    ref = {:claimed, make_ref()}
    :telemetry.attach(ref)
    me = self()
    {:ok, table} = Blanket.claim_table(ref, create_table: {:t, []})
    assert {%{size: 0}, %{creator: ^me, module: nil, name: :t}} = told(:created)
    assert {%{hand_overs: 0}, %{to: ^me, created: true}} = told(:claimed)
    # It knows the owner from here on.
    :sys.get_state(Heir.whereis(ref))

    friend =
      spawn_link(fn ->
        receive do: ({:"ETS-TRANSFER", table, _, _} -> send(me, Blanket.abandon_table(table)))
        receive do: (:stop -> :ok)
      end)

    heir = Heir.whereis(ref)
    :sys.suspend(heir)
    Table.give_away(table, friend, nil)
    # abandon_table/1 ends the heir, which has not seen that the table was given away.
    assert_receive :ok
    assert {%{size: 0}, %{from: ^friend}} = told(:abandoned)
    refute Process.alive?(heir)
    send(friend, :stop)
  end

  test "a table that is given away" do
    ref = {:claimed, make_ref()}
    :telemetry.attach(ref)
    {:ok, table} = Blanket.claim_table(ref, create_table: {:t, []})
    :sys.get_state(Heir.whereis(ref))
    friend = spawn_link(fn -> Process.sleep(:infinity) end)
    Table.give_away(table, friend, nil)
    {measurements, metadata} = told(:handed_over)
    assert %{hand_overs: 1, duration: 0} = measurements
    assert %{from: from, to: ^friend, via: :give_away, reason: nil} = metadata
    assert from == self()
  end

  test "a claim that finds the owner dead before the heir does" do
    ref = {:claimed, make_ref()}
    :telemetry.attach(ref)

    {first, monitor} =
      spawn_monitor(fn ->
        {:ok, _} = Blanket.claim_table(ref, create_table: {:t, []})
        :sys.suspend(Heir.whereis(ref))
        exit(:over)
      end)

    assert_receive {:DOWN, ^monitor, _, _, :over}
    test = self()

    # It stays: the heir is to see it own the table.
    pid =
      spawn_link(fn ->
        send(test, {:claimed, Table.claim(elem(Blanket.Native.kept(ref), 0))})
        Process.sleep(:infinity)
      end)

    heir = Heir.whereis(ref)
    eventually(fn -> match?({_, [_ | _]}, Process.info(heir, :messages)) end)
    :sys.resume(heir)
    assert_receive {:claimed, {:ok, _table}}, 5_000
    assert {_, %{from: ^first, reason: :over}} = told(:orphaned)
    assert {%{hand_overs: 1}, %{from: ^first, to: ^pid, reason: :over}} = told(:handed_over)
  end

  test "an owner that exits before the heir has seen it" do
    {ref, table} = orphan()
    heir = Heir.whereis(ref)
    :sys.suspend(heir)
    pid = claim_and_exit(table, :over)
    :sys.resume(heir)
    told(:claimed)
    assert {%{hand_overs: 1}, %{to: ^pid, via: :claim}} = told(:handed_over)
    # Nobody was there to see why.
    assert {_, %{from: ^pid, reason: :noproc}} = told(:orphaned)

    {:ok, ^table} = Table.claim(table)
    told(:claimed)
    assert {%{hand_overs: 2}, %{from: ^pid}} = told(:handed_over)
    refute_received {[:blanket | _], _, _}
  end

  test "an owner that exits before the heir has seen its predecessor's exit" do
    ref = {:claimed, make_ref()}
    :telemetry.attach(ref)
    parent = self()

    {first, monitor} =
      spawn_monitor(fn ->
        send(parent, Blanket.claim_table(ref, create_table: {:t, []}))
        receive do: (:exit -> exit(:over))
      end)

    assert_receive {:ok, table}
    heir = Heir.whereis(ref)
    :sys.get_state(heir)
    told(:created)
    told(:claimed)
    :sys.suspend(heir)
    second = spawn_link(fn -> receive do: (:claim -> {:ok, _} = Table.claim(table)) end)

    # That of the second comes from another process than the first one's exit, so it may overtake it.
    send(heir, {:claimed, second, table, %{Blanket.Native.info(table) | hand_overs: 1}})
    send(first, :exit)
    assert_receive {:DOWN, ^monitor, _, _, :over}
    send(second, :claim)
    eventually(fn -> not Process.alive?(second) end)
    :sys.resume(heir)

    told(:claimed)
    assert {_, %{from: ^first, reason: :over}} = told(:orphaned)
    assert {_, %{from: ^first, to: ^second, reason: :over}} = told(:handed_over)
    assert {_, %{from: ^second, reason: :noproc}} = told(:orphaned)
    :sys.get_state(heir)
    Events.latest()
    refute_received {[:blanket | _], _, _}
  end

  test "an owner that gave the table to one that exits unseen is the former one" do
    {ref, table} = orphan()
    heir = Heir.whereis(ref)
    test = self()

    giver =
      spawn_link(fn ->
        {:ok, _} = Table.claim(table)
        send(test, :owner)
        receive do: ({:give, pid} -> send(test, Table.give_away(table, pid, nil)))
        Process.sleep(:infinity)
      end)

    assert_receive :owner
    told(:handed_over)
    :sys.suspend(heir)
    {taker, monitor} = spawn_monitor(fn -> receive do: ({:"ETS-TRANSFER", _, _, _} -> :ok) end)
    send(giver, {:give, taker})
    assert_receive true
    assert_receive {:DOWN, ^monitor, _, _, _}
    :sys.resume(heir)
    send(heir, :look)
    assert {_, %{from: ^giver, reason: nil}} = told(:orphaned)
    {:ok, ^table} = Table.claim(table)
    assert {_, %{from: ^giver, reason: nil, to: ^test}} = told(:handed_over)
  end

  test "owners that exit as soon as they have the table" do
    for _ <- 1..300 do
      {_settings, _ref, pid, table} = start_counter([])
      Counter.kill(pid)
      told(:created)
      assert {_, %{to: ^pid, via: :receive_table}} = told(:handed_over)
      assert {_, %{from: ^pid, reason: :killed}} = told(:orphaned)
      {:ok, ^table} = Table.claim(table)
      Table.delete(table)
      assert {_, %{via: :claim}} = told(:handed_over)
      told(:claimed)
      told(:deleted)
    end
  end

  test "an heir that is killed" do
    {_settings, ref, pid, table} = start_counter([])
    heir = Heir.whereis(ref)
    Counter.stop(heir, :kill)
    {measurements, metadata} = told(:restarted)
    assert measurements == %{size: 0}
    assert %{table: ^table, name: :counters, heir: next} = metadata
    assert next != heir
    # The next one notices what happens from then on.
    Counter.kill(pid)
    assert {_, %{from: ^pid, reason: :killed}} = told(:orphaned)
  end

  test "no owner that is found alive is told of when the application starts again" do
    {_settings, _ref, pid, _table} = start_counter([])
    told(:created)
    told(:handed_over)
    capture_log(fn -> :ok = Application.stop(:blanket) end)
    :ok = Application.start(:blanket)
    told(:restarted)
    Counter.kill(pid)
    told(:orphaned)
    refute_received {[:blanket | _], _, _}
  end

  test "a handler that fails keeps nobody from anything" do
    ref = {:claimed, make_ref()}
    :telemetry.attach(ref)

    log =
      capture_log(fn ->
        events = Process.whereis(Events)
        {:ok, _} = Blanket.claim_table(ref, create_table: {:fails_in_telemetry, []})
        told(:claimed)
        Events.latest()
        assert Process.whereis(Events) == events
      end)

    assert log =~ "a handler fails"
  end

  test "works without :telemetry, and remembers what happened" do
    object_code = :code.get_object_code(:telemetry)
    :code.delete(:telemetry)
    :code.purge(:telemetry)
    refute function_exported?(:telemetry, :execute, 3)
    last = Enum.at(Events.latest(), 0, %{number: 0}).number

    log =
      capture_log(fn ->
        {:ok, table} = Blanket.claim_table({:no_telemetry, 1}, create_table: {:t, []})
        eventually(fn -> length(Events.latest(last)) >= 2 end)
        told = Enum.reverse(Events.latest(last))
        assert [%{event: :created, table: ^table}, %{event: :claimed, table: ^table}] = told
        assert [%DateTime{}, %DateTime{}] = Enum.map(told, & &1.time)
      end)

    assert log =~
             "[debug] Table :t, kept as {:no_telemetry, 1}, was created by #{inspect(self())}"

    {module, binary, file} = object_code
    {:module, _} = :code.load_binary(module, file, binary)
  end

  test "what is logged names the table, the processes and the reason" do
    {settings, _ref, pid, _table} = start_counter([])

    log =
      capture_log(fn ->
        Counter.count(pid)
        Counter.kill(pid)
        told(:orphaned)
      end)

    assert log =~
             "[info] Table :counters, kept for #{inspect(settings.owner)}, is an orphan: its owner " <>
               "#{inspect(pid)} exited (:killed). It holds 1 object"

    log =
      capture_log(fn ->
        {:ok, _} = Counter.start_link(settings)
        told(:handed_over)
        told(:handed_over)
        Events.latest()
      end)

    assert log =~
             ~r/ was handed over from .* to .* in [\d.]+ .?s, with 1 object$/um
  end
end

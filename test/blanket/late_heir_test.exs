defmodule Blanket.LateHeirTest do
  # An heir that runs seldom, on a busy node, finds in its mailbox what is over already. Whether a transient table goes
  # must not depend on that.
  use ExUnit.Case, async: true

  import Blanket.Test.Eventually

  alias Blanket.{Heir, Native, Rendezvous, Table}
  alias Blanket.Test.Counter

  @moduletag :capture_log

  setup do
    name = Counter.name("late")
    ref = {Blanket, name, :t}
    {:ok, heir} = Blanket.new(Blanket, name, {:t, [:public]}, :transient)
    {table, _keep} = Native.kept(ref)
    {:ok, name: name, ref: ref, heir: heir, table: table}
  end

  # A process that does what it is told, and then exits as it is told.
  defp start(first \\ fn -> :ok end) do
    test = self()

    spawn(fn ->
      monitor = Process.monitor(test)
      first.()
      obey(monitor)
    end)
  end

  defp obey(monitor) do
    receive do
      {:do, from, fun} ->
        send(from, {self(), fun.()})
        obey(monitor)

      {:exit, reason} ->
        exit(reason)

      {:DOWN, ^monitor, _, _, _} ->
        :ok
    end
  end

  defp tell(pid, fun) do
    send(pid, {:do, self(), fun})
    assert_receive {^pid, answer}
    answer
  end

  defp stop(pid, reason) do
    monitor = Process.monitor(pid)
    send(pid, {:exit, reason})
    assert_receive {:DOWN, ^monitor, _, _, ^reason}
  end

  # The owner that the heir finds. It has been offered the table, and has not looked at the offer yet.
  defp start_candidate(%{name: name, heir: heir}) do
    :sys.suspend(heir)

    pid =
      start(fn ->
        Process.register(self(), name)
        {:ok, _table} = Blanket.receive_table(:infinity)
      end)

    eventually(fn -> Rendezvous.find(pid) && Process.info(pid, :status) == {:status, :waiting} end)

    :erlang.suspend_process(pid)
    :sys.resume(heir)
    eventually(fn -> match?(%{candidate: {^pid, _}}, :sys.get_state(heir)) end)
    pid
  end

  defp receive_table(pid, table) do
    :erlang.resume_process(pid)
    eventually(fn -> Table.info(table, :owner) == pid end)
    tell(pid, fn -> :ok end)
  end

  defp give_away(from, table, to),
    do: true = tell(from, fn -> Table.give_away(table, to, nil) end)

  # The heir stands still, looks once when `meanwhile` is over, and stands still again.
  defp look_after(heir, meanwhile) do
    tag = make_ref()
    :erlang.suspend_process(heir)
    send(heir, :look)
    send(heir, {:system, {self(), tag}, :suspend})
    meanwhile.()
    :erlang.resume_process(heir)
    assert_receive {^tag, :ok}
  end

  defp kept?(%{ref: ref, heir: heir}) do
    :sys.resume(heir)
    Heir.settle(ref)
    Native.kept(ref) != nil
  end

  test "of an owner before the one that it sees, it does not take the claim for the last",
       context do
    %{heir: heir, table: table} = context
    first = start_candidate(context)
    second = start()

    look_after(heir, fn ->
      receive_table(first, table)
      give_away(first, table, second)
      stop(first, :normal)
    end)

    stop(second, :crashed)
    assert kept?(context)
  end

  test "the last owner leaves, whoever else has told of a claim", context do
    %{heir: heir, table: table} = context
    first = start_candidate(context)
    second = start()

    look_after(heir, fn ->
      receive_table(first, table)
      give_away(first, table, second)
    end)

    stop(second, :normal)
    refute kept?(context)
  end

  test "it does not lose sight of the process that it has offered the table, when another claims",
       context do
    %{heir: heir, table: table} = context
    candidate = start_candidate(context)
    other = start()
    {:ok, ^table} = tell(other, fn -> Table.claim(table) end)
    :sys.get_state(heir)
    :sys.suspend(heir)
    stop(other, :crashed)
    receive_table(candidate, table)
    stop(candidate, :normal)
    refute kept?(context)
  end

  test "an owner that has given the table away leaves, and the next one crashes", context do
    %{heir: heir, table: table} = context
    first = start_candidate(context)
    receive_table(first, table)
    eventually(fn -> match?(%{owner: {^first, _}}, :sys.get_state(heir)) end)
    :sys.suspend(heir)
    second = start()
    give_away(first, table, second)
    stop(second, :crashed)
    stop(first, :normal)
    assert kept?(context)
  end

  test "a table that had another owner since is not given up", %{table: table, ref: ref} do
    %{hand_overs: number} = Native.info(table)
    owner = start()
    {:ok, ^table} = tell(owner, fn -> Table.claim(table) end)
    stop(owner, :crashed)
    assert Native.unkeep(table, number) == {:error, :already_owned}
    assert Native.unkeep(table, number + 1) == {:ok, ref}
    assert Table.info(table) == :undefined
  end

  test "an owner leaves that has deleted its table, where another is kept as the same", context do
    %{name: name, ref: ref, heir: heir, table: table} = context
    owner = start_candidate(context)

    look_after(heir, fn ->
      receive_table(owner, table)
      true = tell(owner, fn -> Table.delete(table) end)
      stop(owner, :normal)
      {:ok, ^heir} = Blanket.new(Blanket, name, {:t, [:public]}, :transient)
    end)

    assert {next, _keep} = Native.kept(ref)
    assert next != table
    assert kept?(context)
  end
end

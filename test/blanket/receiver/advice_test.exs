defmodule Blanket.Receiver.AdviceTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureLog

  alias Blanket.{Heir, Table}
  alias Blanket.Receiver.Advice
  alias Blanket.Test.Counter

  defmodule Own do
    use Blanket

    @impl Blanket
    def get_owner_pid(_owner), do: nil
  end

  defp new(owner, name, module \\ Blanket) do
    {:ok, heir} = Blanket.new(module, owner, {name, []})
    heir
  end

  setup do
    {:ok, name: Counter.name("advised")}
  end

  test "is logged when a process waited in vain, and not when it only asked", %{name: name} do
    new(name, name)

    log =
      capture_log(fn -> assert {:error, :transfer_timeout} = Blanket.receive_table(name, 10) end)

    assert log =~ "waited for the table #{inspect(name)} for 10 ms"
    assert log =~ "register the process before it calls Blanket.receive_table"
    assert log =~ "GenServer.start_link(module, arg, name: #{inspect(name)})"
    refute capture_log(fn -> Blanket.receive_table(name, 0) end) =~ "waited"
    {:ok, _} = Application.ensure_all_started(:blanket)
  end

  test "no such table is kept", %{name: name} do
    assert Advice.text({:name, name}, 10) =~ "No such table is kept: call Blanket.new/4 first"
  end

  test "this process is not registered", %{name: name} do
    heir = new(name, name)
    {:ok, ref} = Blanket.Rendezvous.ref_of_heir(heir)

    for wanted <- [{:name, name}, {:ref, ref}] do
      text = Advice.text(wanted, 10)
      assert text =~ "#{inspect(self())} (registered under no name) waited"
      assert text =~ "Blanket.get_owner_pid(#{inspect(name)}) finds, and none has that name"
    end
  end

  test "the name is another's", %{name: name} do
    new(name, name)
    other = spawn_link(fn -> Process.sleep(:infinity) end)
    Process.register(other, name)
    text = Advice.text({:name, name}, 10)
    assert text =~ "that is another process, #{inspect(other)} (#{inspect(name)})"
  end

  test "the table has an owner", %{name: name} do
    settings = Counter.settings(owner: name, table: {name, []})
    pid = start_supervised!({Counter, settings})
    assert_receive {:received, ^name, ^pid, _table}
    assert Advice.text({:name, name}, 10) =~ "has an owner, #{inspect(pid)} (#{inspect(name)})"
  end

  test "this process is the owner, or would be", %{name: name} do
    heir = new(self(), name)
    assert Advice.text(:any, 10) =~ "this process, so its heir #{inspect(heir)} did not get to it"
    {:ok, _table} = Blanket.receive_table(name)
    assert Advice.text({:name, name}, 10) =~ "owns the table #{inspect(name)} already"
  end

  test "the table was claimed", %{name: name} do
    claiming = Task.async(fn -> Blanket.claim_table({:ref, name}, create_table: {name, []}) end)
    assert {:ok, table} = Task.await(claiming)
    text = Advice.text({:name, table}, 10)

    assert text =~
             "kept as {:ref, #{inspect(name)}} was claimed by this term: call Blanket.claim_table/2"

    assert Heir.whereis({:ref, name})
    Table.claim(table)
  end

  test "the process is found in a way of the user's own", %{name: name} do
    new({:room, 1}, name, Own)
    assert Advice.text({:name, name}, 10) =~ "Own.get_owner_pid({:room, 1}) finds: it has to find"
  end

  test "tells about a few of many", %{name: name} do
    for _ <- 1..5, do: new(Counter.name(), Counter.name())
    new(name, name)
    assert Advice.text(:any, 10) =~ ~r/And \d+ more tables wait\.\)$/
  end
end

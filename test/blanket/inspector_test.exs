defmodule Blanket.InspectorTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureIO

  alias Blanket.{Heir, Inspector, Table}
  alias Blanket.Inspector.{Report, TableInfo}
  alias Blanket.Test.Counter

  doctest Blanket.Inspector
  doctest Blanket.Inspector.TableInfo
  doctest Blanket.Inspector.Words

  @moduletag :capture_log

  defp own_tables(names), do: Enum.filter(Inspector.tables(), &(&1.name in names))

  test "a kept table, from owner to owner" do
    name = Counter.name("inspected")
    ref = {Counter, name, name}
    settings = Counter.settings(owner: name, table: {name, [:private]})
    {:ok, pid} = Counter.start_link(settings)
    assert_receive {:received, ^name, ^pid, table}
    Counter.count(pid)
    heir = Heir.whereis(ref)

    assert %TableInfo{
             table: ^table,
             name: ^name,
             named: false,
             type: :set,
             protection: :private,
             keypos: 1,
             size: 1,
             bytes: bytes,
             owner: ^pid,
             owner_name: ^name,
             heir: ^heir,
             kept_as: {:ok, ^ref},
             state: :owned,
             since: since,
             hand_overs: 1,
             waited: waited
           } = info = Inspector.table(table)

    assert bytes == Table.info(table, :memory) * :erlang.system_info(:wordsize)
    assert DateTime.compare(since, DateTime.utc_now()) in [:lt, :eq]
    assert waited >= 0
    assert own_tables([name]) == [info]

    Counter.kill(pid)
    orphan = Inspector.table(table)
    assert %{state: :orphan, owner: :none, owner_name: ^name, hand_overs: 1} = orphan
    assert DateTime.compare(orphan.since, since) == :gt

    {:ok, next} = Counter.start_link(settings)
    assert_receive {:received, ^name, ^next, ^table}
    assert %{state: :owned, owner: ^next, hand_overs: 2} = Inspector.table(table)
    Process.unlink(next)
    Counter.kill(next)
    Table.claim(table)
  end

  test "tables that are not kept" do
    me = self()
    named = Counter.name()
    Table.new(named, [:named_table, :ordered_set, :public, keypos: 2, heir: :immortal])
    assert %{table: table, named: true, heir: :immortal, kept_as: nil} = Inspector.table(named)

    assert %{keypos: 2, type: :ordered_set, protection: :public, owner: ^me} =
             Inspector.table(table)

    assert %{owner_name: nil, hand_overs: 0, waited: 0} = Inspector.table(table)
    assert [%{table: ^table}] = own_tables([named])

    table = Table.new(:t, [])
    assert %{heir: :none} = Inspector.table(table)
    friend = spawn_link(fn -> Process.sleep(:infinity) end)
    Table.setopts(table, {:heir, friend, nil})
    assert %{heir: ^friend} = Inspector.table(table)
    Table.give_away(table, friend, nil)
    assert %{owner: ^friend, hand_overs: 1, waited: 0} = Inspector.table(table)
  end

  test "a table that its heir got is handed over once" do
    me = self()

    spawn(fn ->
      table = Table.new(:t, [{:heir, me, :data}])
      send(me, {:table, table})
    end)

    assert_receive {:table, table}
    assert_receive {:"ETS-TRANSFER", ^table, _, :data}
    assert %{owner: ^me, hand_overs: 1, heir: ^me} = Inspector.table(table)
  end

  test "an orphan that was never owned by another is handed over by the first claim" do
    table = Task.await(Task.async(fn -> Table.new(:t, [{:heir, :immortal}]) end))
    assert %{state: :orphan, hand_overs: 0} = Inspector.table(table)
    {:ok, ^table} = Table.claim(table)
    assert %{state: :owned, hand_overs: 1, waited: waited} = Inspector.table(table)
    assert waited >= 0
  end

  test "what is no table" do
    table = Table.new(:t, [])
    Table.delete(table)
    for none <- [table, :no_such_table, make_ref(), "t"], do: assert(Inspector.table(none) == nil)
  end

  test "a table that has no option :named_table is found by its name where no other has it" do
    name = Counter.name()
    table = Table.new(name, [])
    assert %{table: ^table, named: false} = Inspector.table(name)
    second = Table.new(name, [])
    message = ~r/^2 tables have the name #{Regex.escape(inspect(name))}, .* give the reference/
    assert_raise ArgumentError, message, fn -> Inspector.table(name) end
    Table.new(name, [:named_table, :bag])
    assert %{type: :bag} = Inspector.table(name)
    assert %{table: ^second} = Inspector.table(second)
  end

  test "what Blanket keeps for itself is not shown" do
    refute Blanket.Rendezvous in Enum.map(Inspector.tables(), & &1.name)
  end

  test "inspect shows name, type, size, memory, owner and heir" do
    name = Counter.name()
    {:ok, heir} = Blanket.new(Blanket, name, {name, [:bag]})
    {:ok, ref} = Blanket.Rendezvous.ref_of_heir(heir)
    {table, _} = Blanket.Native.kept(ref)

    assert inspect(Inspector.table(table)) =~
             ~r/^#Blanket.Table<#{inspect(name)}, bag, 0 objects, [\d,]+ B, an orphan, heir: #{inspect(heir)}>$/

    table = Table.new(:stars, [])
    Table.insert(table, {1})

    assert inspect(Inspector.table(table)) =~
             ~r/^#Blanket.Table<:stars, set, 1 object, .*, owner: #{inspect(self())}, heir: :none>$/

    {:ok, _} = Table.claim(elem(Blanket.Native.kept(ref), 0))
  end

  describe "a report" do
    defp info(changes) do
      table = Table.new(:t, [])
      struct!(Inspector.table(table), changes)
    end

    defp lines(tables, args), do: apply(Report, :lines, [tables | args])

    test "has a line for each table, in the order that was asked for" do
      tables = [
        info(name: :a, size: 1, bytes: 3000, hand_overs: 2),
        info(name: :b, size: 2000, bytes: 2000, hand_overs: 3),
        info(name: :c, size: 3, bytes: 1000, hand_overs: 1, state: :orphan, owner: :none)
      ]

      for {sort, order} <- [memory: "abc", size: "bca", name: "abc", hand_overs: "bac"] do
        assert [summary, "", heads | rows] = lines(tables, [sort])

        assert summary == "3 tables, 2,004 objects, 5.9 KB, 1 orphan, 6 hand-overs"
        assert heads =~ ~r/^NAME +TYPE +OBJECTS +MEMORY +STATE +FOR +OWNER +HEIR +HAND-OVERS$/
        assert Enum.map_join(rows, &String.at(&1, 1)) == order
      end

      assert "b" |> row(tables) =~
               ~r/^:b +set +2,000 +2\.0 KB +owned +[\d.]+ .?s +#PID<.*> +- +3$/u

      assert "c" |> row(tables) =~ ~r/^:c +set +3 +1,000 B +orphan +[\d.]+ .?s +- +- +1$/u
      assert [_, _, _] = lines([], [:name])
    end

    defp row(name, tables),
      do: Enum.find(lines(tables, [:name]), &String.starts_with?(&1, ":" <> name))

    test "fits into the terminal" do
      long = String.duplicate("long", 20)

      tables =
        for n <- 1..9 do
          info(name: :"#{long}#{n}", owner_name: {:via, Registry, {long, n}})
        end

      for width <- [80, 100, 140] do
        assert lines = lines(tables, [:name, width, 8])
        assert length(lines) == 8
        assert List.last(lines) == "(5 more)"
        assert Enum.all?(lines, &(String.length(&1) <= width))
        assert Enum.at(lines, 3) =~ "…"
      end
    end

    test "is printed" do
      name = Counter.name()
      Table.new(name, [])
      assert capture_io(fn -> assert Inspector.report() == :ok end) =~ inspect(name)
    end
  end
end

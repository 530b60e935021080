defmodule Blanket.ClaimTest do
  use ExUnit.Case, async: true

  alias Blanket.Table
  alias Blanket.Test.Counter

  # A table whose owner has exited.
  defp orphan(options) do
    Task.await(
      Task.async(fn ->
        table = Table.new(Counter.name("orphan"), options ++ [{:heir, :immortal}])
        Table.insert(table, {:a, 1})
        table
      end)
    )
  end

  for protection <- [:private, :protected, :public], named <- [[], [:named_table]] do
    test "an orphan, #{inspect([protection | named])}, is the claimant's" do
      table = orphan([unquote(protection) | unquote(named)])
      assert Table.info(table, :owner) == :none
      assert Table.claim(table) == {:ok, table}
      assert Table.info(table, :owner) == self()
      assert Table.lookup(table, :a) == [a: 1]
      assert Table.insert(table, {:b, 2})
      assert Table.delete(table)
    end
  end

  test "a private orphan can be found, but not used before" do
    table = orphan([:private])
    assert_raise ArgumentError, fn -> Table.lookup(table, :a) end
    assert_raise ArgumentError, fn -> Table.delete(table) end
    assert table in for(table <- Table.all(), Table.info(table, :owner) == :none, do: table)
    assert Table.claim(table) == {:ok, table}
  end

  test "a claimed table is immortal still" do
    table = orphan([:private])

    for n <- 1..3 do
      counted =
        Task.async(fn ->
          {:ok, ^table} = Table.claim(table)
          Table.update_counter(table, :claims, 1, {:claims, 0})
        end)

      assert Task.await(counted) == n
    end

    assert Table.info(table, :owner) == :none
  end

  test "of many that claim one gets it" do
    table = orphan([:private])
    parent = self()

    for _ <- 1..20 do
      spawn_link(fn ->
        send(parent, {self(), Table.claim(table)})
        receive do: (:exit -> :ok)
      end)
    end

    answers = for _ <- 1..20, do: assert_receive({_, _})
    assert [{winner, {:ok, ^table}}] = Enum.filter(answers, &match?({_, {:ok, _}}, &1))
    assert Enum.count(answers, &match?({_, {:error, :already_owned}}, &1)) == 19
    assert Table.info(table, :owner) == winner
  end

  test "a table that has an owner, or is gone, is refused" do
    table = Table.new(:table, [:public])
    assert Table.claim(table) == {:error, :already_owned}
    assert Task.await(Task.async(fn -> Table.claim(table) end)) == {:error, :already_owned}
    Table.delete(table)

    for gone <- [table, :no_such_table, make_ref(), "table"] do
      assert Table.claim(gone) == {:error, {:table_not_found, gone}}
    end
  end

  test "a kept table is claimed as what it is kept as: its heir serves the next owner" do
    owner = Counter.name()
    {:ok, heir} = Blanket.new(Blanket, owner, {:t, [:private]}, :transient)
    {table, _} = Blanket.Native.kept({Blanket, owner, :t})
    monitor = Process.monitor(heir)

    claiming =
      Task.async(fn ->
        answer = Table.claim(table)
        # It knows its new owner from here on.
        :sys.get_state(heir)
        answer
      end)

    assert Task.await(claiming) == {:ok, table}
    # The owner exited normally, and the table is transient.
    assert_receive {:DOWN, ^monitor, :process, ^heir, :normal}
    assert Table.info(table) == :undefined
  end
end

defmodule Chaos.Bank do
  # Accounts in tables of all types. What is in all of them together never changes, for whoever looks at one
  # instant. An account that is empty is not there; in a bag it is several objects.

  alias Blanket.{Table, Transaction}
  alias Chaos.{Findings, Tally}

  @types [[:set], [:ordered_set], [:bag], [:duplicate_bag, :compressed]]
  @accounts 60
  @balance 100

  @doc "Opens the tables, for so many clerks."
  def open(clerks) do
    tables = for options <- @types, do: Table.new(:chaos_bank, [:public | options])
    for table <- tables, key <- 1..@accounts, do: Table.insert(table, object(key, @balance))
    :persistent_term.put(__MODULE__, {tables, :atomics.new(clerks, [])})
  end

  def close, do: Enum.each(tables(), &Table.delete/1)

  def tables, do: elem(:persistent_term.get(__MODULE__), 0)
  def count, do: length(@types)
  def total, do: count() * @accounts * @balance

  @doc "Some account."
  def random, do: {Enum.random(tables()), :rand.uniform(@accounts)}

  @doc "Takes out what there is, at most so much, and answers how much that is."
  def withdraw(tx, {table, key}, most) do
    there = sum(Transaction.take(tx, table, key))
    amount = min(there, most)
    if there > amount, do: Transaction.insert(tx, table, object(key, there - amount))
    amount
  end

  def deposit(_tx, _account, 0), do: true

  # In a bag beside what there is, but for when that is much.
  def deposit(tx, {table, key} = account, amount) do
    there = Transaction.lookup(tx, table, key)
    beside? = Table.info(table, :type) in [:bag, :duplicate_bag] and length(there) < 10
    amount = if beside?, do: amount, else: amount + withdraw(tx, account, :all)
    Transaction.insert(tx, table, object(key, amount))
  end

  # No two are the same.
  defp object(key, amount), do: {key, amount, System.unique_integer()}

  def sum(objects), do: objects |> Enum.map(&elem(&1, 1)) |> Enum.sum()

  @doc "What all tables have at one instant, as a transaction sees it."
  def audit(tx), do: tables() |> Enum.flat_map(&Transaction.tab2list(tx, &1)) |> sum()

  def expect_total(_how, sum, total) when sum == total, do: Tally.add(:audits)

  def expect_total(how, sum, total),
    do: Findings.add("the bank's total", %{by: how, found: sum, wanted: total})

  @doc "Looks at all of it while nobody does anything."
  def inspect do
    expect_total(:tables, tables() |> Enum.flat_map(&Table.tab2list/1) |> sum(), total())
    {:ok, sum} = Blanket.transaction(&audit/1)
    expect_total(:transaction, sum, total())

    Table.with_snapshot(tables(), fn snapshots ->
      expect_total(:snapshot, snapshots |> Enum.flat_map(&Table.tab2list/1) |> sum(), total())
    end)
  end

  @doc "Notes that a clerk is in a transaction, or not; answers whether it was before."
  def note(clerk, inside?) do
    {_tables, inside} = :persistent_term.get(__MODULE__)
    :atomics.exchange(inside, clerk, if(inside?, do: 1, else: 0)) == 1
  end
end

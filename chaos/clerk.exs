defmodule Chaos.Clerk do
  # Moves money in the bank in transactions, and is killed in the middle of them.

  alias Blanket.{Table, Transaction}
  alias Chaos.{Bank, Findings, Gate, Junk, Tally}

  def child_spec({number, seed}) do
    %{id: {:clerk, number}, start: {__MODULE__, :start_link, [number, seed]}}
  end

  def start_link(number, seed), do: {:ok, spawn_link(fn -> init(number, seed) end)}

  defp init(number, seed) do
    if Bank.note(number, false), do: Tally.add(:transactions_killed)
    :rand.seed(:exsss, {seed, number, System.unique_integer()})
    loop(number)
  end

  defp loop(number) do
    Gate.pass()
    Junk.flush()
    Process.sleep(:rand.uniform(10) - 1)
    Bank.note(number, true)
    count(act(:rand.uniform(20)))
    Bank.note(number, false)
    loop(number)
  end

  defp count({:ok, _}), do: Tally.add(:transactions)
  defp count({:error, :conflict}), do: Tally.add(:transactions_given_up)
  defp count({:error, :chaos}), do: Tally.add(:transactions_aborted)
  defp count(other), do: Findings.add("a transaction", other)

  # Of one account to many, which is too much for a scheduler.
  defp act(1) do
    Blanket.transaction(fn tx ->
      amount = Bank.withdraw(tx, Bank.random(), 200)
      for _ <- 1..amount//1, do: Bank.deposit(tx, Bank.random(), 1)
    end)
  end

  defp act(2), do: Blanket.transaction(&(transfer(&1) && Transaction.abort(&1, :chaos)))

  defp act(3) do
    Blanket.transaction(fn tx -> transfer(tx) && raise("chaos") end)
  rescue
    error in RuntimeError -> if error.message == "chaos", do: {:error, :chaos}, else: error
  end

  # What the inner one has done is taken back.
  defp act(4) do
    Blanket.transaction(fn tx ->
      transfer(tx)
      {:error, :chaos} = Blanket.transaction(&(transfer(&1) && Transaction.abort(&1, :chaos)))
      transfer(tx)
    end)
  end

  # A list holds many parts of a table at a time.
  defp act(5) do
    table = Enum.random(Bank.tables())
    Table.insert(table, for(i <- 1..1000, do: {{:other, i}, 0, nil}))
    Table.match_delete(table, {{:other, :_}, :_, :_})
    {:ok, :list}
  end

  defp act(_), do: Blanket.transaction(&transfer/1)

  defp transfer(tx) do
    amount = Bank.withdraw(tx, Bank.random(), :rand.uniform(150))
    # In between others run, or it is killed.
    if :rand.uniform(3) == 1, do: Process.sleep(:rand.uniform(5)), else: :erlang.yield()
    Bank.deposit(tx, Bank.random(), amount)
  end
end

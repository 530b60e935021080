defmodule Chaos.Auditor do
  # Adds up what the bank has: in snapshots, which it may hold when it is killed, and in transactions.

  alias Blanket.Table
  alias Chaos.{Bank, Gate, Junk, Tally}

  def child_spec({number, seed}) do
    %{id: {:auditor, number}, start: {__MODULE__, :start_link, [number, seed]}}
  end

  def start_link(number, seed), do: {:ok, spawn_link(fn -> init(number, seed) end)}

  defp init(number, seed) do
    :rand.seed(:exsss, {seed, number, System.unique_integer()})
    loop()
  end

  defp loop do
    Gate.pass()
    Junk.flush()
    Process.sleep(:rand.uniform(40))
    audit(:rand.uniform(4))
    loop()
  end

  defp audit(1) do
    case Blanket.transaction(&Bank.audit/1) do
      {:ok, sum} -> Bank.expect_total(:transaction, sum, Bank.total())
      {:error, :conflict} -> Tally.add(:transactions_given_up)
    end
  end

  # Looked at twice, with whatever comes between, and not always released.
  defp audit(choice) do
    {:ok, snapshots} = Table.snapshot(Bank.tables())

    for _ <- 1..2 do
      Bank.expect_total(
        :snapshot,
        Bank.sum(Enum.flat_map(snapshots, &Table.tab2list/1)),
        Bank.total()
      )

      Process.sleep(:rand.uniform(30))
    end

    if choice == 2, do: exit(:done), else: Table.release(snapshots)
  end
end

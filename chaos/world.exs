defmodule Chaos.World do
  # Owners, writers and readers under supervisors that start them again however often they are killed.

  alias Chaos.{Auditor, Bank, Clerk, Gate, Ledger, Owner, Reader, Writer}

  @restarts [max_restarts: 1_000_000, max_seconds: 1]
  # Owners of a supervisor.
  @siblings 10
  @clerks 12
  @auditors 4

  @doc "Starts all, and answers what a killer needs to know."
  def start(owners, seed) do
    Ledger.open(owners)
    tables = for owner <- owners, table <- owner.tables, do: table
    writers = for table <- tables, lane <- table.lanes, do: {Writer, {table, lane, seed}}
    readers = for table <- tables, do: {Reader, {table, seed}}

    clerks = for number <- 1..@clerks, do: {Clerk, {number, seed}}
    auditors = for number <- 1..@auditors, do: {Auditor, {number, seed}}

    Bank.open(@clerks)
    {:ok, _} = Gate.start_link(nil)
    {:ok, _} = Registry.start_link(keys: :unique, name: Chaos.Names)
    supervise(Chaos.Owners, groups(owners))
    supervise(Chaos.Writers, writers)
    supervise(Chaos.Readers, readers)
    supervise(Chaos.Clerks, clerks)
    supervise(Chaos.Auditors, auditors)

    %{
      owners: owners,
      supervisors: Chaos.Owners,
      writers: Chaos.Writers,
      readers: Chaos.Readers,
      clerks: Chaos.Clerks,
      auditors: Chaos.Auditors,
      workers: length(writers) + length(readers) + @clerks + @auditors
    }
  end

  @doc "Ends all processes, which wait at the gate, and deletes their tables."
  def stop(world) do
    workers = [world.auditors, world.clerks, world.readers, world.writers]
    for name <- workers ++ [world.supervisors], do: Supervisor.stop(name)
    for name <- [Chaos.Names, Gate], do: GenServer.stop(name)
    for {ref, _table, _keep} <- Blanket.Native.kept(), do: delete(ref)
    Bank.close()
    Ledger.close()
  end

  # A transient table is just going, with its owner.
  defp delete(ref) do
    case Blanket.claim_table(ref) do
      {:ok, table} -> Blanket.Table.delete(table)
      {:error, {:table_not_found, ^ref}} -> :ok
    end
  end

  # A supervisor of several stops the others when one fails to start, and with them transient tables.
  defp groups(owners) do
    {transient, lasting} = Enum.split_with(owners, & &1.transient?)
    groups = Enum.chunk_every(transient, 1) ++ Enum.chunk_every(lasting, @siblings)

    for {group, id} <- Enum.with_index(groups) do
      start = {Supervisor, :start_link, [Enum.map(group, &{Owner, &1}), options()]}
      %{id: id, start: start, type: :supervisor}
    end
  end

  defp supervise(name, children) do
    {:ok, _} = Supervisor.start_link(children, [name: name] ++ options())
  end

  defp options, do: [strategy: :one_for_one] ++ @restarts
end

defmodule Blanket.Table.Snapshot do
  @moduledoc false

  # Snapshots for as long as a function runs.

  alias Blanket.{Native, Table}

  @doc """
  Calls `fun` with a snapshot, or a list of them, and releases it.
  """
  @spec run(Table.snapshot(), (Table.snapshot() -> result)) :: result when result: term
  @spec run([Table.snapshot()], ([Table.snapshot()] -> result)) :: result when result: term
  def run(taken, fun) do
    fun.(taken)
  after
    release(taken)
  end

  @doc """
  Calls `fun` with the table as it is at one instant.
  """
  @spec of(Table.table(), (Table.snapshot() -> result)) :: result when result: term
  def of(table, fun) do
    if Native.is_snapshot(table) do
      fun.(table)
    else
      [taken] = Native.snapshot([table])
      run(taken, fun)
    end
  end

  @spec release(Table.snapshot() | [Table.snapshot()]) :: :ok
  def release(snapshots) when is_list(snapshots) do
    if List.improper?(snapshots) or not Enum.all?(snapshots, &Native.is_snapshot/1),
      do: :erlang.error(:badarg)

    Enum.each(snapshots, &Native.release/1)
  end

  def release(snapshot) do
    Native.release(snapshot)
    :ok
  end
end

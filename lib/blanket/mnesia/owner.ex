defmodule Blanket.Mnesia.Owner do
  @moduledoc false

  # The tables of Mnesia last as long as Mnesia runs on this node. This process, one of Mnesia's, ends
  # with it and takes them along. They are immortal so that its own death, while Mnesia runs, is none of
  # theirs; then they belong to nobody.

  use GenServer

  alias Blanket.Mnesia.Tables
  alias Blanket.Table

  @doc """
  Gives the table of the caller to the process that ends with Mnesia.
  """
  @spec own(Table.table()) :: :ok
  def own(table) do
    Table.give_away(table, start(), nil)
    :ok
  end

  @doc """
  Deletes the tables that an earlier run of Mnesia left, which was killed together with this process.
  """
  @spec delete_leftovers() :: :ok
  def delete_leftovers, do: delete(owned_by: [:none])

  # Of Mnesia's own supervisor for the processes of backends.
  defp start do
    case :mnesia_ext_sup.start_proc(__MODULE__, GenServer, :start_link, [
           __MODULE__,
           [],
           [name: __MODULE__]
         ]) do
      {:ok, owner} -> owner
      {:error, {:already_started, owner}} -> owner
    end
  end

  @impl true
  def init(_) do
    # For terminate/2, and for that to come to its end: of an application that ends, what is left is killed.
    Process.flag(:trap_exit, true)
    Process.group_leader(self(), Process.whereis(:init))
    {:ok, nil}
  end

  @impl true
  def handle_info(_transfer_or_exit, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, _state), do: delete(owned_by: [self(), :none])

  defp delete(owned_by: owners) do
    for name <- Tables.names(),
        {:ok, table} <- [Tables.find(name)],
        Table.info(table, :owner) in [:undefined | owners] do
      flush(table)
      Tables.delete(name)
    end

    :ok
  end

  # That of a table on a disc is closed: all of it is there when Mnesia has ended.
  defp flush(table) do
    Table.flush(table)
  rescue
    ArgumentError -> :ok
  end
end

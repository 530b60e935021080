defmodule Blanket.Mnesia.Tables do
  @moduledoc false

  # The tables behind those of Mnesia, found by the name that Mnesia calls each by: an atom, or a tuple
  # for an index and for what a checkpoint retains. Every read and write asks here first, so that it is
  # persistent terms: they are dear to change, which happens when a table comes or goes.

  alias Blanket.Mnesia.Owner
  alias Blanket.Table

  @type name :: atom | {atom, :index | :retainer, term}

  @doc """
  The table of this name. Fails as `:ets` does where there is none.
  """
  @spec fetch!(name) :: Table.table()
  def fetch!(name), do: :persistent_term.get({__MODULE__, name})

  @spec find(name) :: {:ok, Table.table()} | :error
  def find(name) do
    case :persistent_term.get({__MODULE__, name}, nil) do
      nil -> :error
      table -> {:ok, table}
    end
  end

  @doc """
  Creates an empty table in place of the one that has the name, if one has.

  It belongs to the process that ends with Mnesia: whoever creates a table for Mnesia may be gone by the
  time that it is loaded.
  """
  @spec create(name, [term]) :: :ok
  def create(name, options) do
    delete(name)
    table = Table.new(base(name), [:public, {:heir, :immortal} | options])
    :persistent_term.put({__MODULE__, name}, table)
    Owner.own(table)
  end

  @spec delete(name) :: :ok
  def delete(name) do
    with {:ok, table} <- find(name) do
      delete_table(table)
      :persistent_term.erase({__MODULE__, name})
    end

    :ok
  end

  @spec names() :: [name]
  def names, do: for({{__MODULE__, name}, _table} <- :persistent_term.get(), do: name)

  defp base(name) when is_atom(name), do: name
  defp base({table, _kind, _which}), do: table

  defp delete_table(table) do
    Table.delete(table)
  rescue
    # Somebody else has.
    ArgumentError -> true
  end
end

defmodule Blanket.Mnesia.Tables do
  @moduledoc false

  # The tables behind those of Mnesia. One that Mnesia calls by an atom has that name, as those in memory have
  # in ETS. Indices, and what a checkpoint retains, it calls by tuples: they are found by persistent
  # terms, which are dear to change and cheap to read. There all are noted, as others may have such names, too.

  alias Blanket.Mnesia.Owner
  alias Blanket.Table

  @type name :: atom | {atom, :index | :retainer, term}

  @doc """
  What the functions of `Blanket.Table` take for the table of this name. They, or this one, fail where there
  is none.
  """
  @spec fetch!(name) :: Table.table()
  def fetch!(name) when is_atom(name), do: name
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
    table = new(name, [:public, {:heir, :immortal} | options])
    :persistent_term.put({__MODULE__, name}, table)
    Owner.own(table)
  end

  @doc """
  Opens the table, unless it is open.
  """
  @spec open(name, [term]) :: :ok
  def open(name, options), do: if(find(name) == :error, do: create(name, options), else: :ok)

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

  # Noted is the reference, which is that of no later table.
  defp new(name, options) when is_atom(name),
    do: name |> Table.new([:named_table | options]) |> Table.whereis()

  defp new({name, _kind, _which}, options), do: Table.new(name, options)

  defp delete_table(table) do
    Table.delete(table)
  rescue
    # Somebody else has.
    ArgumentError -> true
  end
end

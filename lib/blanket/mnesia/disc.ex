defmodule Blanket.Mnesia.Disc do
  @moduledoc false

  # The files of the tables that are kept on a disc: one for each, in Mnesia's directory.

  alias Blanket.Table

  @suffix ".BLANKET"

  @doc """
  As Mnesia compares them with the ends of the names in its directory.
  """
  @spec suffixes() :: [charlist]
  def suffixes, do: [to_charlist(@suffix)]

  @doc """
  The options of a table with a file, from those that it was created with in Mnesia.
  """
  @spec options(atom, keyword) :: [Table.option()]
  def options(name, properties) do
    storage = Keyword.get(properties, :storage_properties, [])
    [{:durable, path(name), Keyword.get(storage, :blanket, [])}]
  end

  @spec delete(atom) :: :ok
  def delete(name) do
    _ = File.rm(path(name))
    :ok
  end

  @doc """
  Has Mnesia end on this node if the table's file cannot be written: then this copy has missed a change that
  the others have. It is loaded from them when Mnesia is started again.
  """
  @spec check(Table.table()) :: :ok
  def check(table) do
    case Table.info(table, :durable) do
      %{state: {:error, reason}, path: path} ->
        :mnesia_lib.fatal(~c"Cannot write ~ts: ~tp~n", [path, reason])

      _ ->
        :ok
    end
  end

  defp path(name), do: to_string(:mnesia_lib.dir(to_charlist("#{name}#{@suffix}")))
end

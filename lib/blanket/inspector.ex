defmodule Blanket.Inspector do
  @moduledoc """
  Shows the tables of a node: what they hold, who owns them, and how they went from owner to owner.

  A table is a plain reference, as those of `:ets` are, and prints as one. To see what it is, ask here:

      iex> table = Blanket.Table.new(:cities, [:set, :public])
      iex> Blanket.Table.insert(table, [{"Rome", 2_748_109}, {"Oslo", 717_710}])
      iex> info = Blanket.Inspector.table(table)
      iex> {info.name, info.size, info.state, info.owner == self()}
      {:cities, 2, :owned, true}

  Nothing of this looks at objects or slows a table down. The same is on the terminal by `report/0`
  and `mix blanket.top`.
  """

  alias Blanket.{Native, Rendezvous, Table}
  alias Blanket.Inspector.{Report, TableInfo}

  @doc """
  What is known of a table, or `nil` when there is no such table.

      iex> Blanket.Inspector.table(:no_such_table)
      nil
  """
  @spec table(Table.table()) :: TableInfo.t() | nil
  def table(table) do
    with facts when is_map(facts) <- Native.info(table) do
      TableInfo.read(facts.id, kept(facts.id))
    else
      :undefined -> nil
    end
  rescue
    ArgumentError -> nil
  end

  defp kept(table) do
    with {:ok, ref} <- Native.kept_as(table),
         {^table, keep} <- Native.kept(ref) do
      {ref, keep}
    else
      _ -> nil
    end
  rescue
    ArgumentError -> nil
  end

  @doc """
  What is known of all tables of the node, in no certain order.

      iex> Blanket.Table.new(:listed_by_inspector, [:named_table])
      iex> :listed_by_inspector in Enum.map(Blanket.Inspector.tables(), & &1.name)
      true
  """
  @spec tables() :: [TableInfo.t()]
  def tables do
    kept = for {ref, table, keep} <- Native.kept(), into: %{}, do: {table, {ref, keep}}

    for table <- Table.all(),
        table != Rendezvous,
        info = read(table, kept),
        do: info
  end

  defp read(name, kept) when is_atom(name) do
    with table when is_reference(table) <- Table.whereis(name),
         do: read(table, kept),
         else: (_ -> nil)
  end

  defp read(table, kept), do: TableInfo.read(table, kept[table])

  @doc """
  Prints all tables, the largest first.

      iex> import ExUnit.CaptureIO
      iex> Blanket.Table.new(:printed_by_inspector, [:ordered_set])
      iex> capture_io(&Blanket.Inspector.report/0) =~ ~r/:printed_by_inspector +ordered_set +0 /
      true
  """
  @spec report() :: :ok
  def report do
    width = with {:ok, columns} <- :io.columns(), do: columns, else: (_ -> 120)
    tables() |> Report.lines(:memory, width) |> Enum.each(&IO.puts/1)
  end
end

defmodule Blanket.Files do
  @moduledoc """
  Files of durable tables, and what a crash would leave of them.
  """

  alias Blanket.Table

  @doc "A path in a folder that is removed when the test is over."
  @spec path(String.t()) :: Path.t()
  def path(name \\ "table") do
    folder =
      Path.join(
        System.tmp_dir!(),
        "blanket-#{System.unique_integer([:positive])}-#{System.pid()}"
      )

    File.mkdir_p!(folder)
    ExUnit.Callbacks.on_exit(fn -> File.rm_rf!(folder) end)
    Path.join(folder, name)
  end

  @doc "The objects that a table would have which is opened with the file as it is on disk now."
  @spec on_disk(Table.table()) :: [tuple]
  def on_disk(table) do
    %{path: path} = Table.info(table, :durable)
    copy = "#{path}.#{System.unique_integer([:positive])}.copy"
    File.cp!(path, copy)
    options = [Table.info(table, :type), keypos: Table.info(table, :keypos)]
    opened = Table.new(:copy, [{:durable, copy} | options])
    objects = Table.tab2list(opened)
    Table.delete(opened)
    File.rm!(copy)
    objects
  end
end
